#!/bin/sh
# Usage: install.sh PYTHON VENV REQUIREMENTS
# Makes VENV if it is missing and installs the hashed pins and this project into it.
set -eu
python=$1 venv=$2 requirements=$3

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "drpo needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1). Set PYTHON=/path/to/python3.11" >&2
    exit 1
}

# Debian splits the module that puts pip into a new environment out of its python3 package.
make_venv() {
    "$python" -m venv "$venv" 2>/dev/null && return
    rm -rf "$venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing python3-venv with apt-get ..." >&2
        apt-get update -qq >&2 && apt-get install -y -qq python3-venv >&2
        "$python" -m venv "$venv" && return
    fi
    echo "'$python -m venv' does not work here. On Debian: sudo apt-get install python3-venv" >&2
    exit 1
}

[ -x "$venv/bin/pip" ] || make_venv
# The pins name every package there is to install, so nothing is left to resolve. Older versions of pip would
# try: for "name[extra]" they leave the pin aside, and fail as soon as a newer version is released.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$requirements"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
# The pins lack what was just added to pyproject.toml: 'make pins' puts it there, and needs this environment.
"$venv/bin/python" -m pip check --disable-pip-version-check >&2 || echo "the pins are out of date: run 'make pins'" >&2
