#!/bin/sh
# hatchling 1.33.0: a package that `packages` names and that does not exist is left out of the wheel,
# without an error or a warning, and the build exits 0. Expected: an error that names it.
#
# So a wheel that lacks a package shows only when it is imported; and one pyproject.toml can build
# wheels of parts of a source tree (deploy/docker/Dockerfile relies on that, tests/deploy checks it).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check build==1.3.0 hatchling==1.33.0
mkdir -p project/present
touch project/present/__init__.py
cat >project/pyproject.toml <<'END'
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "parts"
version = "1"
[tool.hatch.build.targets.wheel]
packages = ["present", "absent"]
END
venv/bin/python -m build --no-isolation --wheel --outdir out project >log 2>&1
if grep -i absent log; then
    echo "changed: the build mentions the missing package" >&2
    exit 1
fi
venv/bin/python - <<'END'
import glob, zipfile
names = zipfile.ZipFile(glob.glob("out/*.whl")[0]).namelist()
assert "present/__init__.py" in names, names
assert not [name for name in names if name.startswith("absent")], names
END
echo "as found: hatchling 1.33.0 builds a wheel without the missing package, and says nothing"
