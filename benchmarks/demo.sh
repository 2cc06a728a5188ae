#!/usr/bin/env bash
# make demo: compile a network, run it on a photo, learn real digits and read some. Exits non-zero below 98 %.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(dirname "$0")

echo '$ cnnspec summarize resnet34'
cnnspec summarize resnet34 > "$work/summary"
sed -n '1p' "$work/summary"
tail -n 7 "$work/summary"

photo=$(python -c 'import sklearn.datasets as d, pathlib; print(pathlib.Path(d.__file__).parent / "images/china.jpg")')
cp "$photo" "$work/china.jpg"
echo '$ cnnspec predict resnet34 china.jpg --random --fit crop'
(cd "$work" && cnnspec predict resnet34 china.jpg --random --fit crop --top-k 1 2>&1)

echo '$ cnnspec train lenet5'
(cd "$work" && cnnspec train lenet5 --out run --json > train.jsonl)
python "$here/demo.py" "$work"

echo '$ cnnspec predict run digit-*.png'
(cd "$work" && cnnspec predict run digit-*.png --top-k 1)
