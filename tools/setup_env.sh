#!/usr/bin/env bash
# Make a virtual environment that runs mmcds from nothing; do nothing where it is already made.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: tools/setup_env.sh [--stack default|upstream] [--venv DIR] [--with docs|rotate|seg|yolo ...]

Makes a virtual environment with torch, mmcv's compiled operators, mmdet, mmpretrain, mmcds and
what its tests need. The first run compiles mmcv and takes minutes; the wheel is kept. A second call
with the same arguments returns at once. A folder that holds the other stack is refused, not changed.

  --stack default    the maintained distributions, requirements.txt            -> .venv
  --stack upstream   OpenMMLab's own distributions, requirements/upstream.txt  -> .venv-upstream
  --venv DIR         where to make it
  --with docs        also what builds the documentation
  --with rotate      also mmrotate (default stack only, as the next two)
  --with seg         also mmsegmentation
  --with yolo        also mmyolo, whose copy in this environment is then told to accept the newer mmcv

Environment variables:
  PYTHON                the interpreter to build on (default: python3.11, 3.12, 3.13 or python3)
  FORCE_CUDA            1: CUDA builds, 0: CPU builds (default: 1 where a GPU is seen)
  TORCH_CUDA_ARCH_LIST  GPU architectures to compile for, such as 8.0;9.0 (default: the GPUs seen)
  MAX_JOBS              compilers at once (default: one per core)
  MMCDS_WHEELS          where compiled mmcv wheels are kept (default ~/.cache/mmcds/wheels)

Example:
  tools/setup_env.sh && . .venv/bin/activate && python -m mmcds.doctor
USAGE
}

say() { printf '[setup %d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*" >&2; }
die() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
stack=default venv='' with=()
while [ $# -gt 0 ]; do
    case $1 in
        --stack) stack=${2-}; shift $(($# > 1 ? 2 : 1)) ;;
        --venv) venv=${2-}; [ -n "$venv" ] || die '--venv takes a folder'; shift 2 ;;
        --with)
            case ${2-} in docs|rotate|seg|yolo) with+=("$2") ;; *) die "--with takes docs, rotate, seg or yolo, got '${2-}'" ;; esac
            shift 2 ;;
        -h|--help) usage; exit 0 ;;
        *) die "unknown argument '$1'; see tools/setup_env.sh --help" ;;
    esac
done
case $stack in
    default) requirements=requirements.txt tests=requirements/dev.txt mmcv_name=onedl-mmcv setuptools='setuptools>=80'
             others='mm(engine|cv|cv-lite|cv-full|det|cls|pretrain)' venv=${venv:-$root/.venv} ;;
    # pkg_resources, which upstream's setup files import, left setuptools at 81.
    upstream) requirements=requirements/upstream.txt tests=requirements/tests.txt mmcv_name=mmcv setuptools='setuptools<81'
              others='onedl-mm[a-z]*|mmcv-(lite|full)' venv=${venv:-$root/.venv-upstream} ;;
    *) die "--stack takes default or upstream, got '$stack'" ;;
esac
[ "${venv#/}" != "$venv" ] || venv=$PWD/$venv
py=$venv/bin/python

[ "$stack" = default ] || for extra in "${with[@]}"; do
    [ "$extra" = docs ] || die "--with $extra is for the default stack; leave out --stack $stack"
done

# Nothing to do? The stamp is a digest of everything this environment was made from, then what it has besides.
digest=$(cat "$root"/requirements.txt "$root"/requirements/*.txt "$root/setup.py" "${BASH_SOURCE[0]}" | sha256sum)
stamp="${digest%% *} $stack ${FORCE_CUDA-}"
exit_if_made() {
    local extra made
    made=$(cat "$venv/.mmcds-setup" 2>/dev/null) || return 0
    [ "${made% with*}" = "$stamp" ] && "$py" -c '' 2>/dev/null || return 0
    for extra in "${with[@]}"; do
        case "${made#* with} " in *" $extra "*) ;; *) return 0 ;; esac
    done
    say "$venv is up to date"
    exit 0
}
exit_if_made
python='' candidates=(python3.11 python3.12 python3.13 python3)
[ -z "${PYTHON-}" ] || candidates=("$PYTHON")
for candidate in "${candidates[@]}"; do
    # Run it: a version manager's shim is on PATH for versions that are not installed.
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { python=$candidate; break; }
done
[ -n "$python" ] || die "no Python 3.11 or newer (tried: ${candidates[*]}); install one, or name it with PYTHON=/path/to/python"
command -v "${CXX:-c++}" >/dev/null || die "no C++ compiler '${CXX:-c++}' on PATH, needed for mmcv's operators; on Debian: apt-get install g++"
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
[ -f "$header" ] || die "no $header, needed for mmcv's operators; on Debian: apt-get install python3-dev"
gpu=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true)
# nproc would answer OMP_NUM_THREADS, which says nothing about compilers.
export FORCE_CUDA=${FORCE_CUDA:-$((gpu > 0))} MAX_JOBS=${MAX_JOBS:-$(OMP_NUM_THREADS='' nproc)} CXX=${CXX:-c++}
build=$([ "$FORCE_CUDA" = 1 ] && echo CUDA || echo CPU)
[ -e "$venv/pyvenv.cfg" ] || [ -e "$venv/setup.log" ] || [ -z "$(ls -A "$venv" 2>/dev/null)" ] \
    || die "$venv is neither empty nor a virtual environment; choose another folder with --venv"
mkdir -p "$venv"
if command -v flock >/dev/null; then
    exec 9>"$venv/.mmcds-lock"
    flock -n 9 || { say "waiting for another setup of $venv"; flock 9; exit_if_made; }
fi
log=$venv/setup.log ticker='' work=''
: > "$log"
trap '[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true; [ -z "$work" ] || rm -rf "$work"' EXIT

# try COMMAND...: into the log, with a sign of life every 30 s (ninja's [file/files] where there is one).
try() {
    local status=0
    # The sleep outlives its parent, and must not hold the caller's pipe open meanwhile.
    (while sleep 30 >/dev/null 2>&1; do
        say "  still at it $(tail -n 40 "$log" | grep -o '\[[0-9]*/[0-9]*\]' | tail -n 1 || true)"
    done) 9>&- & ticker=$!
    "$@" >> "$log" 2>&1 </dev/null || status=$?
    kill "$ticker"; wait "$ticker" 2>/dev/null || true; ticker=''
    return $status
}
# step WHAT COMMAND...: says what it does; shows the end of the log if that fails.
step() { say "$1"; try "${@:2}" || { tail -n 30 "$log" >&2; die "failed at: $1; the whole log is $log"; }; }
pip() { "$py" -m pip --disable-pip-version-check --no-input "$@"; }
install() { pip install --progress-bar off "$@"; }
ask() { "$py" -W ignore -c "$1" 2>>"$log"; }

say "$stack stack, $build build, $("$python" --version) -> $venv"
pip --version >/dev/null 2>&1 || step 'making the virtual environment' "$python" -m venv "$venv"
foreign=$(pip list --format=freeze 2>>"$log" | grep -m 1 -E "^($others)==" || true)
[ -z "$foreign" ] || die "$venv holds ${foreign/==/ }, which cannot be beside the $stack stack; choose another folder with --venv"
step 'installing build tools' install -U pip "$setuptools" wheel packaging ninja

torch=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$root/$requirements")
has_torch() { ask "import torch; assert torch.__version__.split('+')[0] == '${torch#torch==}' and (torch.version.cuda or not $FORCE_CUDA)"; }
if ! has_torch; then
    say "installing ${torch/==/ } ($build build)"
    try pip uninstall -y torch
    # '+cpu' names the CPU build; an index without it has only the CUDA build, which runs too.
    if [ "$FORCE_CUDA" = 1 ] || ! try install "$torch+cpu"; then step '  from the default index' install "$torch"; fi
    has_torch || { tail -n 3 "$log" >&2; die "pip found no working $build build of $torch; name an index that has it with PIP_EXTRA_INDEX_URL, or change FORCE_CUDA=$FORCE_CUDA"; }
fi

mmcv=$(sed -n "s/^\($mmcv_name==[^ ]*\).*/\1/p" "$root/$requirements")
key=$(ask 'import platform, sys, torch; print(f"torch{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}")')
if [ "$FORCE_CUDA" = 1 ]; then
    ask 'from torch.utils.cpp_extension import CUDA_HOME as home; assert home' \
        || die "no CUDA compiler (nvcc), needed for mmcv's operators; install the CUDA toolkit $(ask 'import torch; print(torch.version.cuda)') and set CUDA_HOME, or set FORCE_CUDA=0 for a CPU environment"
    export TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-$(ask 'import torch
print(";".join(sorted({"%d.%d" % torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())})))')}
    [ -n "$TORCH_CUDA_ARCH_LIST" ] || die "torch sees no GPU to compile for; set TORCH_CUDA_ARCH_LIST, such as TORCH_CUDA_ARCH_LIST='8.0;9.0'"
    key=$key-cuda-${TORCH_CUDA_ARCH_LIST//[; ]/_}
fi
wheels=${MMCDS_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/mmcds/wheels}/${key//+/_}
find_wheel() { find "$wheels" -name "${mmcv_name//-/_}-${mmcv#*==}-*.whl" 2>/dev/null | head -n 1; }

build_mmcv() {
    local cflags='-g0 -O2 -w -DNDEBUG -fwrapv -fPIC -pthread' includes
    if [ "$FORCE_CUDA" = 0 ]; then
        # Reading torch's headers takes most of the time: do it once for all files. With other flags than
        # the extension's, to the last -pthread, g++ ignores the result silently (-H shows 'x' instead of '!').
        # Older torch has the old C++ ABI and sets it for extensions.
        cflags="$cflags -D_GLIBCXX_USE_CXX11_ABI=$(ask 'import torch; print(int(torch.compiled_with_cxx11_abi()))')"
        echo '#include <torch/types.h>' > "$work/torch.h"
        includes=$(ask 'import sysconfig; from torch.utils.cpp_extension import include_paths
print(*("-I" + p for p in [*include_paths(), sysconfig.get_path("include")]))')
        # shellcheck disable=SC2086  # several words each
        $CXX $cflags -std=c++17 -DTORCH_API_INCLUDE_EXTENSION_H -DTORCH_EXTENSION_NAME=_ext $includes \
            -x c++-header "$work/torch.h" -o "$work/torch.h.gch" || return
        cflags="$cflags -include $work/torch.h"
    fi
    # Build isolation hides torch, and mmcv without torch builds without operators; the cache may hold such a wheel.
    MMCV_WITH_OPS=1 CFLAGS=$cflags CXXFLAGS=$cflags pip -v wheel --no-deps --no-cache-dir --no-build-isolation \
        --no-binary "$mmcv_name" -w "$work" "$mmcv"
}
if [ -z "$(find_wheel)" ]; then
    work=$(mktemp -d)
    step "compiling ${mmcv/==/ }'s operators, $MAX_JOBS at a time (the wheel is kept in $wheels)" build_mmcv
    mkdir -p "$wheels"
    mv "$work"/*.whl "$wheels/"
fi
wheel=$(find_wheel)
if [ "$(cat "$venv/.mmcds-mmcv" 2>/dev/null)" != "$wheel" ]; then
    # By force: the same version may be there from another torch, and pip leaves the same version alone.
    step "installing ${mmcv/==/ }" install --no-deps --force-reinstall "$wheel"
    echo "$wheel" > "$venv/.mmcds-mmcv"
fi

step "installing $requirements" install --no-build-isolation -r "$root/$requirements" -r "$root/$tests"
for extra in "${with[@]}"; do
    # The packages name upstream's distributions, or older ones, as what they need; those files name all that is missing.
    options=$([ "$extra" = docs ] || echo --no-deps --no-build-isolation)
    # shellcheck disable=SC2086  # several words
    step "installing requirements/$extra.txt" install $options -r "$root/requirements/$extra.txt"
done
case " ${with[*]-} " in *' yolo '*)
    # mmyolo 0.6.0 ends its import with an assertion for mmcv 2.1 and newer; its code runs on them.
    say "mmyolo: telling its copy in $venv to accept mmcv before 3"
    yolo=$(ask 'import sysconfig; print(sysconfig.get_path("purelib"))')/mmyolo
    sed -i "s/^mmcv_maximum_version = .*/mmcv_maximum_version = '3.0.0'/" "$yolo/__init__.py"
    # Python takes its compiled copy for current if the file has the same size and second as before.
    rm -f "$yolo"/__pycache__/__init__.*.pyc ;;
esac
step 'installing mmcds' install --no-build-isolation --no-deps -e "$root"
ask 'import mmcv.ops' || {
    tail -n 5 "$log" >&2
    rm -f "$wheel" "$venv/.mmcds-mmcv"
    die 'mmcv.ops cannot be imported; its wheel was thrown away, run this script again to compile it anew'
}
for extra in "${with[@]}"; do
    [ "$extra" = docs ] || ask "import mm$extra" || { tail -n 5 "$log" >&2; die "mm$extra cannot be imported; the whole log is $log"; }
done
"$py" -m mmcds.doctor >&2 || die 'the environment is not right: do what the lines above say, then run this script again'
echo "$stamp with ${with[*]-}" > "$venv/.mmcds-setup"
say "done; activate it with: . ${venv#"$PWD"/}/bin/activate"
