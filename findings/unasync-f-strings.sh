#!/bin/sh
# unasync 0.6.0: what it makes of an f-string depends on the Python that runs it. Before Python 3.12
# an f-string is one token, and an `await` inside it stays: the generated module does not compile.
# From 3.12 on it is removed. Expected: the same output from the same source with either.
#
# So a check that generated code is up to date may pass for one developer and fail for another, and
# an asynchronous source that awaits inside an f-string works only where the generator is new.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >check.py <<'END'
import pathlib, sys
import unasync
source = pathlib.Path("asynchronous", "module.py")
source.parent.mkdir(exist_ok=True)
source.write_text(
    'async def greet(person):\n'
    '    plain = await person.name()\n'
    '    return plain + f"{{}} {await person.name()!r:>9}"\n'
)
unasync.unasync_files([str(source)], [unasync.Rule("asynchronous", "synchronous")])
made = pathlib.Path("synchronous", "module.py").read_text()
assert made.startswith("def greet(person):\n    plain = person.name()\n"), made
try:
    compile(made, "module.py", "exec")
    compiles = True
except SyntaxError:
    compiles = False
new = sys.version_info >= (3, 12)
assert ("{await person" in made) != new, f"changed: {made}"
assert compiles == new, f"changed: compiles: {compiles}"
print(f"Python {sys.version_info.major}.{sys.version_info.minor}: compiles: {compiles}")
END
# Whichever of these there are; python3 alone shows its half.
for python in python3 python3.11 python3.12 python3.13; do
    "$python" -c '' 2>/dev/null || continue
    rm -rf venv synchronous
    "$python" -m venv venv
    venv/bin/pip install --quiet --disable-pip-version-check unasync==0.6.0 setuptools==80.9.0
    venv/bin/python check.py
done
echo "as found: unasync 0.6.0: an await in an f-string stays before Python 3.12, and goes from then on"
