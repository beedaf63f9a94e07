#!/usr/bin/env bash
# Unit tests on every further Python that the project supports and this machine has (PATH or pyenv).
# Usage: test_pythons.sh UV
set -euo pipefail
uv=$1
found=0
for version in 3.12 3.13; do
  python=$(command -v "python$version" || true)
  # pyenv's shims exist for versions that are not switched on: ask the program itself.
  if [ -z "$python" ] || ! "$python" -c '' 2>/dev/null; then
    python=$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python 2>/dev/null | tail -n 1 || true)
  fi
  if [ -z "$python" ]; then
    echo "LEFT OUT: Python $version is not on this machine"
    continue
  fi
  found=$((found + 1))
  venv=.venv-$version
  "$uv" venv --quiet --allow-existing --python "$python" "$venv"
  "$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes requirements.lock
  "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
  echo "== unit tests on $("$venv/bin/python" --version)"
  # In two processes of one thread, as `make unit` does it; Ray gets the machine for itself.
  chosen="not kafka and not shared and not slow"
  left_out=(--ignore tests/integration --ignore tests/deploy)
  OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest -n 2 --dist loadfile -m "$chosen and not ray" "${left_out[@]}"
  "$venv/bin/python" -m pytest -m "$chosen and ray" "${left_out[@]}"
done
echo "unit tests passed on $found further Python(s)"
