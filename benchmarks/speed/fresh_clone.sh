#!/usr/bin/env bash
# Follow the README as a newcomer: clone into an empty folder, with empty caches, run both commands, time them.
# usage: benchmarks/speed/fresh_clone.sh SCRATCH_FOLDER [quickstart|tests ...]    (default: both, one after the other)
# Writes the times to docs/timing.md of the repository it is called from, and in a sentence to its README. A command that
# is not run keeps the row it has.
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
    # "[tests] environment, default stack  2:54  passed" once per stack, or "[setup 2:54] done".
    setup=$(sed -nE 's/^\[tests\] environment.* ([0-9]+):([0-9]+)  passed$/\1 \2/p' "$scratch/$what/log")
    setup=${setup:-$(sed -nE 's/^\[setup ([0-9]+):([0-9]+)\] done.*/\1 \2/p' "$scratch/$what/log")}
    setup=$(awk '{ total += $1 * 60 + $2 } END { print total + 0 }' <<< "$setup")
    rows+=("| \`$script\` | $seconds | $setup |")
    echo "$script: $seconds s, of which set-up $setup s; log: $scratch/$what/log"
done
page=$root/docs/timing.md
for script in tools/quickstart.sh tools/run_tests.sh; do
    case "${rows[*]}" in *"$script"*) continue ;; esac
    if old=$(grep -F "| \`$script\` |" "$page" 2> /dev/null); then rows+=("$old"); fi
done
{
    echo '# How long the two commands take'
    echo
    echo "Written by \`benchmarks/speed/fresh_clone.sh\`: a fresh clone, no environment, no caches; one run each, on"
    echo "$(nproc) CPU cores ($(uname -m)), $(($(getconf _PHYS_PAGES) * $(getconf PAGE_SIZE) / 1073741824)) GiB, no GPU."
    echo
    echo '| command | seconds in all | of which setting up |'
    echo '|---|---|---|'
    printf '%s\n' "${rows[@]}" | sort
} > "$page"
python3 - "$page" "$root/README.md" <<'PYTHON'
import re
import sys
from pathlib import Path

page, readme = (Path(name) for name in sys.argv[1:])
rows = re.findall(r'`tools/(\w+)\.sh` \| (\d+) \| (\d+)', page.read_text())
said = '; '.join(
    f'`{name}.sh` takes {int(total) / 60:.0f} minutes, {int(setup) / 60:.0f} of them to set up' for name, total, setup in rows
)
machine = re.search(r'on\n(.*?),', page.read_text())[1]
block = f'<!-- timing -->\nFrom nothing, on {machine}: {said} ([timing](docs/timing.md)).\n<!-- /timing -->'
readme.write_text(re.sub(r'<!-- timing -->.*?<!-- /timing -->', block, readme.read_text(), flags=re.S))
PYTHON
