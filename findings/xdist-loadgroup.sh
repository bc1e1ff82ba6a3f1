#!/bin/sh
# pytest 9.2.0 with pytest-xdist 3.8.0: `--dist loadgroup` does not keep the tests of an
# `xdist_group` in one worker, and says nothing. Expected, from xdist's documentation: all tests of
# a group run in the same worker.
#
# xdist appends "@group" to Item._nodeid after collection; pytest 9.2.0's Item.nodeid no longer
# shows it, so every test is a group of its own. With pytest 8.4.2 the tests stay together.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >test_group.py <<'END'
import os, pathlib, time, pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_in_a_group(number):
    time.sleep(0.3)
    pathlib.Path(os.environ["PYTEST_XDIST_WORKER"]).touch()
END
workers() {
    python3 -m venv "venv-$1"
    "venv-$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
    rm -f gw*
    "venv-$1/bin/pytest" -q -n 2 --dist loadgroup -p no:cacheprovider test_group.py >&2
    set -- gw*
    echo $#
}
older=$(workers 8.4.2)
newer=$(workers 9.2.0)
[ "$older" = 1 ] || { echo "changed: with pytest 8.4.2 a group has $older workers" >&2; exit 1; }
[ "$newer" = 2 ] || { echo "changed: with pytest 9.2.0 a group has $newer worker" >&2; exit 1; }
echo "as found: pytest-xdist 3.8.0 keeps a group in one worker with pytest 8.4.2, not with 9.2.0"
