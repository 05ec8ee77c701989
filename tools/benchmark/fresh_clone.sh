#!/usr/bin/env bash
# Follow the README as a newcomer: clone into an empty folder, with empty caches, run both commands, time them.
# usage: tools/benchmark/fresh_clone.sh SCRATCH_FOLDER [quickstart|tests ...]    (default: both, one after the other)
# Writes the times to docs/timing.md of the repository it is called from.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "$1"
scratch=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- quickstart tests
[ -z "$(ls -A "$scratch")" ] || { echo "error: $scratch is not empty; give an empty folder" >&2; exit 2; }

rows=()
for what in "$@"; do
    case $what in
        quickstart) script=tools/quickstart.sh ;;
        tests) script=tools/run_tests.sh ;;
        *) echo "error: '$what' is neither quickstart nor tests" >&2; exit 2 ;;
    esac
    # Each in a clone and caches of its own: neither may live on what the other made.
    mkdir "$scratch/$what"
    git clone -q "$root" "$scratch/$what/mmcds"
    started=$SECONDS
    (
        cd "$scratch/$what/mmcds"
        unset VIRTUAL_ENV PYTHONPATH
        export XDG_CACHE_HOME="$scratch/$what/cache" PIP_CACHE_DIR="$scratch/$what/cache/pip" MMCDS_WHEELS="$scratch/$what/cache/wheels"
        "./$script"
    ) > "$scratch/$what/log" 2>&1 < /dev/null || { tail -n 30 "$scratch/$what/log" >&2; echo "error: $script failed; $scratch/$what/log" >&2; exit 1; }
    seconds=$((SECONDS - started))
    # "[setup 6:54] done", once per stack.
    setup=$(awk -F'[ :\\]]' '/^\[setup [0-9]+:[0-9]+\] done/ { total += $2 * 60 + $3 } END { print total + 0 }' "$scratch/$what/log")
    rows+=("| \`$script\` | $seconds | $setup |")
    echo "$script: $seconds s, of which set-up $setup s; log: $scratch/$what/log"
done
{
    echo '# How long the two commands take'
    echo
    echo "Written by \`tools/benchmark/fresh_clone.sh\`: a fresh clone, no environment, no caches; one run each, on"
    echo "$(nproc) CPU cores ($(uname -m)), $(($(getconf _PHYS_PAGES) * $(getconf PAGE_SIZE) / 1073741824)) GiB, no GPU."
    echo
    echo '| command | seconds in all | of which setting up |'
    echo '|---|---|---|'
    printf '%s\n' "${rows[@]}"
} > "$root/docs/timing.md"
