#!/usr/bin/env bash
# Check a release: build it from what is committed, look at its content, install and run it in both stacks.
# usage: tools/check_release.sh [FOLDER]     (default dist; the wheel and the source distribution go there)
set -euo pipefail

case ${1:-} in -h|--help) sed -n '2,3s/^# //p' "$0"; exit 0 ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "${1:-dist}"
out=$(cd "${1:-dist}" && pwd)

tools/setup_env.sh
tools/setup_env.sh --stack upstream
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
git archive HEAD | tar -x -C "$source"
(cd "$source" && "$OLDPWD/.venv/bin/python" -c "
import sys
import setuptools.build_meta as build
build.build_sdist(sys.argv[1])
build.build_wheel(sys.argv[1])" "$out" > /dev/null)

# The content and the metadata; then pip's resolver, and train, kill, resume, test and export from the installed wheel.
.venv/bin/python -m pytest -q tests/test_release.py tests/test_outside_project.py tests/smoke
.venv-upstream/bin/python -m pytest -q tests/smoke
ls -l "$out"
