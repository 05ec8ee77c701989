#!/usr/bin/env bash
# Make the environments and run every check in them: lint, types, tests, and the other stack.
set -uo pipefail

usage() {
    cat <<'USAGE'
usage: tools/run_tests.sh [--fast] [--stack default|upstream] [PYTEST ARGUMENT ...]

Sets up the environments (tools/setup_env.sh), runs ruff, mypy, import-linter and all tests on the default stack, then
the tests that older packages can break on upstream's stack. Stops at the first part that fails, and says
at the end how long each took.

  --fast             lint, types and the tests that are not slow, on the default stack
  --stack default    only what runs on the default stack (.venv)
  --stack upstream   only what runs on upstream's stack (.venv-upstream)

Everything else goes to pytest; a pytest that finds no test fails. One test runs per core, eight at most,
each with one OpenMP thread; `-n 0` runs them one after the other.

Examples:
  tools/run_tests.sh --fast
  tools/run_tests.sh --fast -x tests/models -k queue
USAGE
}

die() { printf '[tests] error: %s\n' "$*" >&2; exit 2; }
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

fast=0 stack=both arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --fast) fast=1; shift ;;
        --stack)
            stack=${2-}
            case $stack in default|upstream) shift 2 ;; *) die "--stack takes default or upstream, got '$stack'" ;; esac ;;
        -h|--help) usage; exit 0 ;;
        *) arguments+=("$1"); shift ;;
    esac
done
[ "$fast$stack" != 1upstream ] || die '--fast is of the default stack; leave out --fast or --stack upstream'
[ "$fast" = 0 ] || stack=default

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# part NAME COMMAND...: run it, note its time, and end here with its status if it fails.
names=() times=() results=() scratch='' background=''
part() {
    local began=$SECONDS status=0
    printf '\n[tests] %s\n' "$1"
    "${@:2}" </dev/null || status=$?
    names+=("$1") times+=("$(clock $((SECONDS - began)))")
    [ $status = 0 ] && results+=(passed) || results+=("FAILED with status $status")
    [ $status = 0 ] || exit $status
}
summary() {
    local status=$? i
    [ -z "$background" ] || kill "$background" 2>/dev/null || true
    [ -z "$scratch" ] || rm -rf "$scratch"
    [ ${#names[@]} -gt 0 ] || return
    printf '\n'
    for i in "${!names[@]}"; do printf '[tests] %-28s %6s  %s\n' "${names[i]}" "${times[i]}" "${results[i]}"; done
    printf '[tests] %-28s %6s  %s\n' total "$(clock $SECONDS)" "$([ $status = 0 ] && echo passed || echo FAILED)"
}
trap summary EXIT

# Two tests at once where there are two cores; each test then has one thread, or they slow each other down.
# A file stays in one process, for its fixtures; tests/conftest.py puts the longest files first.
cores=$(OMP_NUM_THREADS='' nproc)
[ "$cores" -lt 2 ] || export OMP_NUM_THREADS=1
parallel=(-n "$((cores < 2 ? 0 : cores < 8 ? cores : 8))" --dist loadfile --no-loadscope-reorder)

# What runs on the upstream stack: all that calls its packages in a way that their versions change.
upstream=(tests/smoke tests/test_parity.py
    tests/utils/test_{blockwise,boxes}.py tests/models/test_{contrastive,distillation,embedding_queue}.py
    tests/models/test_{data_samples,batch_formats,step_data,samplers,pixel_sampler,dataloader_view,photometric_view,necks,two_view_forward}.py)

lint() {
    part 'ruff check' .venv/bin/ruff check .
    part 'ruff format' .venv/bin/ruff format --check .
    part 'mypy' .venv/bin/mypy
    part 'import-linter' .venv/bin/lint-imports
}
on_default() {
    if [ "$fast" = 1 ]; then
        part 'fast tests' .venv/bin/python -m pytest "${parallel[@]}" -m 'not slow' "${arguments[@]}"
    else
        part 'tests' .venv/bin/python -m pytest "${parallel[@]}" "${arguments[@]}"
    fi
}
on_upstream() {
    part 'tests, upstream stack' .venv-upstream/bin/python -m pytest "${parallel[@]}" "${upstream[@]}" "${arguments[@]}"
}
# Both environments at once: one downloads while the other compiles. All but the last part need the first only.
finish_upstream() {
    local status=0
    wait "$background" || status=$?
    background=''
    cat "$scratch/upstream"
    return $status
}

if [ "$stack" = both ]; then
    scratch=$(mktemp -d)
    tools/setup_env.sh --stack upstream > "$scratch/upstream" 2>&1 & background=$!
fi
[ "$stack" = upstream ] || part 'environment, default stack' tools/setup_env.sh --with docs --with rotate --with seg --with yolo
[ "$stack" != upstream ] || part 'environment, upstream stack' tools/setup_env.sh --stack upstream
[ "$stack" = upstream ] || lint
[ "$stack" = upstream ] || on_default
[ "$stack" != both ] || part 'environment, upstream stack' finish_upstream
[ "$stack" = default ] || on_upstream
