#!/bin/sh
# Install the project, editable and with everything its checks need, into a virtual environment.
# usage: setup.sh PYTHON VENV
set -eu
python=${1:-}
venv=$2
if [ -z "$python" ]; then
    echo "No Python 3.11, 3.12 or 3.13 was found. Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2
    exit 1
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
constraints=constraints/python-$version.txt
echo "Installing into $venv with Python $version (once; takes a minute or two) …"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
# Compiled once here, or each Airflow component would spend seconds on it at its first start.
VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --compile-bytecode --constraint "$constraints" --editable '.[sandbox]' --group dev
echo "Installed."
