#!/usr/bin/env bash
# Makes a Python environment with the packages of requirements.txt; prints nothing when it is up to date.
#
#   third_party/python.sh DIR     afterwards DIR/bin/python runs with the packages
#
# PYTHON names the interpreter to build it from (default: python3).
set -euo pipefail

fail() {
  echo "python.sh: $*" >&2
  exit 1
}

(($# == 1)) || fail "usage: third_party/python.sh DIR"
readonly folder=$1
readonly python=${PYTHON:-python3}
requirements=$(dirname "${BASH_SOURCE[0]}")/requirements.txt
readonly stamp=$folder/.requirements.sha256

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
  fail "'$python' does not run; third_party/install.sh test installs Python."

# The interpreter's version belongs to the stamp: after an upgrade of the system's Python the old
# environment has its packages in a folder that the new one does not look into.
wanted=$({ echo "python $version"; cat "$requirements"; } | sha256sum)
if [[ -f $stamp && "$(<"$stamp")" == "$wanted" ]]; then exit 0; fi

# venv --clear empties the folder, so be sure that it is an environment and not somebody's home.
if [[ -e $folder && ! -f $folder/pyvenv.cfg && -n "$(ls -A "$folder")" ]]; then
  fail "'$folder' holds something else than a Python environment; name another folder."
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or newer is needed, but '$python' is version $version."
"$python" -m venv --clear "$folder" ||
  fail "'$python' cannot make environments; third_party/install.sh test installs python3-venv."
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
  --requirement "$requirements"
echo "$wanted" >"$stamp"
