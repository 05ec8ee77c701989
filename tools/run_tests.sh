#!/usr/bin/env bash
# Make the environments and run every check in them: lint, types, tests, and the other stack.
set -uo pipefail

usage() {
    cat <<'USAGE'
usage: tools/run_tests.sh [--fast] [--stack default|upstream] [PYTEST ARGUMENT ...]

Sets up the environment (tools/setup_env.sh) and runs ruff, mypy and the tests in it, then the smoke
tests on upstream's stack. Stops at the first part that fails, and says at the end how long each took.

  --fast             lint, types and the tests that are not slow, on the default stack
  --stack default    only what runs on the default stack (.venv)
  --stack upstream   only the smoke tests, on upstream's stack (.venv-upstream)

Everything else goes to pytest; a pytest that finds no test fails. OMP_NUM_THREADS is left as it is:
set it to 1 where something else is running.

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
names=() times=() results=()
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
    [ ${#names[@]} -gt 0 ] || return
    printf '\n'
    for i in "${!names[@]}"; do printf '[tests] %-28s %6s  %s\n' "${names[i]}" "${times[i]}" "${results[i]}"; done
    printf '[tests] %-28s %6s  %s\n' total "$(clock $SECONDS)" "$([ $status = 0 ] && echo passed || echo FAILED)"
}
trap summary EXIT

on_default() {
    local bin=.venv/bin
    part 'environment, default stack' tools/setup_env.sh --stack default --with docs
    part 'ruff check' $bin/ruff check .
    part 'ruff format' $bin/ruff format --check .
    part 'mypy' $bin/mypy
    part 'tests' $bin/python -m pytest -m 'not slow' "${arguments[@]}"
    [ "$fast" = 1 ] || part 'slow tests' $bin/python -m pytest -m slow "${arguments[@]}"
}
on_upstream() {
    part 'environment, upstream stack' tools/setup_env.sh --stack upstream
    part 'smoke tests, upstream stack' .venv-upstream/bin/python -m pytest tests/smoke "${arguments[@]}"
}

case $stack in
    default) on_default ;;
    upstream) on_upstream ;;
    both) on_default; on_upstream ;;
esac
