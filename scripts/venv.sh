#!/bin/sh
# Make the virtual environment: venv.sh FOLDER [PYTHON]
# One line says what is missing where something is.
set -eu
venv=$1

fit() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

fail() {
    echo "nnc: $1" >&2
    exit 1
}

if [ $# -gt 1 ]; then
    python=$2
    fit "$python" || fail "PYTHON=$python is missing or older than Python 3.11"
else
    python=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if fit "$candidate"; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "Python 3.11 or newer is missing; install it, or name it: make PYTHON=/path/to/python3 ..."
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module; on Debian and Ubuntu install the package python3-venv"

fit "$venv/bin/python" || "$python" -m venv --clear "$venv"
echo "Installing the pinned packages into $venv (several GB the first time, most of it torch)"
"$venv/bin/python" -m pip install -qq -r requirements.lock ||
    fail "the packages in requirements.lock could not be installed (no network, or a full disk?); pip says why above"
"$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --editable . ||
    fail "the package nnc could not be installed; pip says why above"
