#!/bin/sh
# Usage: vllm.sh PYTHON VENV
# Makes VENV with vLLM for the CPU, server and engine, and with this project beside it. Its torch is taken only from a wheel at hand (pip's find-links): no index
# has the build that it names. Exits with 3 where there is none. VENV/.installed holds the hash of the pins that are there.
set -eu
python=$1 venv=$2
torch=torch==2.13.0+cpu
pins=$(cat requirements/vllm.sh requirements/vllm.txt requirements/vllm/alias/pyproject.toml | cksum)
[ "$(cat "$venv/.installed" 2>/dev/null)" != "$pins" ] || exit 0

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
if ! "$python" -m pip download --quiet --no-index --no-deps --dest "$wheels" "$torch" >/dev/null 2>&1; then
    echo "there is no wheel of $torch for $("$python" -V) at hand" >&2
    exit 3
fi
[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
cp -r requirements/vllm/alias "$wheels/alias" # setuptools leaves files where it builds
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$wheels"/torch-*.whl
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/vllm.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation "$wheels/alias"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
echo "$pins" >"$venv/.installed"
