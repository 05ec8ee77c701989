#!/usr/bin/env bash
# Train on several GPUs (or, where there is none, CPU processes) of this machine, or of several.
# usage: tools/dist_train.sh CONFIG RANKS [options of train.py]
# Several machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=... PORT=29500 tools/dist_train.sh ...
set -euo pipefail

case ${1:-} in -h|--help) sed -n '2,4s/^# //p' "$0"; exit 0 ;; esac
[ $# -ge 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
config=$1 ranks=$2
shift 2
# One machine and no port asked for: a free one, so that two jobs do not meet.
if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    meet=(--standalone)
else
    meet=(--nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}"
        --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}")
fi
exec "${PYTHON:-python}" -m torch.distributed.run "${meet[@]}" --nproc-per-node="$ranks" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
