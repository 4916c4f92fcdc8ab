#!/bin/sh
# Usage: clients.sh PYTHON VENV
# Makes VENV with the clients that the client tests run as programs: Python ones from hashed pins, Node ones in
# VENV/node from the lock file beside the tests. Exits with 3 where they cannot be run: without Node, or where
# promptfoo's SQLite, which is machine code, is pinned for another machine. VENV/.installed says that all is there.
set -eu
python=$1 venv=$2

[ "$(uname -sm)" = "Linux x86_64" ] || { echo "the Node clients are pinned for Linux on x86_64" >&2; exit 3; }
command -v npm >/dev/null || { echo "there is no npm: install Node 20.20 or newer" >&2; exit 3; }
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a == 20 && b >= 20) ? 0 : 1)' || {
    echo "the Node clients need Node 20.20 or newer; this is $(node --version)" >&2
    exit 3
}

[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/clients.txt
mkdir -p "$venv/node"
cp tests/clients/package.json tests/clients/package-lock.json "$venv/node/"
# without optional parts: they are SDKs of agents, of half a gigabyte, that no test asks
npm ci --prefix "$venv/node" --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error
touch "$venv/.installed"
