#!/usr/bin/env bash
# The README's first command: set everything up, train Faster R-CNN with CDS on generated shapes, test it, draw it.
# usage: tools/quickstart.sh [WORK_DIR]     (default work_dirs/quickstart)
set -euo pipefail

case ${1:-} in -h|--help) sed -n '2,3s/^# //p' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=${1:-$root/work_dirs/quickstart}
mkdir -p "$work"
work=$(cd "$work" && pwd)
config=$root/configs/cds/faster_rcnn_r18_cds_shapes.py
cd "$root"

"$root/tools/setup_env.sh"
python=$root/.venv/bin/python

started=$SECONDS
"$python" tools/train.py "$config" --work-dir "$work" --resume
trained=$((SECONDS - started))
checkpoint=$(cat "$work/last_checkpoint")
"$python" tools/test.py "$config" "$checkpoint" --work-dir "$work/test" | tee "$work/test.log"
"$python" tools/analysis/curves.py "$work" --out "$work/curves.png"
"$python" tools/analysis/detections.py "$config" "$checkpoint" --out "$work/pictures"

echo
echo "trained in $trained s; AP and AP50 on the validation images:"
grep -E 'AP\) @\[ IoU=0.50(:0.95)? +\| area= +all' "$work/test.log"
echo "checkpoint:  $checkpoint"
echo "curves:      $work/curves.png"
echo "detections:  $work/pictures"
