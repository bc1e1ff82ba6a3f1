"""What leaves the machine: nothing.

In a closed network, and without the variables by which programs know that a build server runs them.
"""

import os
import sys
from pathlib import Path

import pytest

from landmarks.settings import ENV_PREFIX, Settings
from tests.support.closed_network import who_wanted_to_leave
from tests.support.processes import ROOT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.needs(system="linux", network="closed"),
]
# By which programs know that a build server runs them, and then report nothing.
CI_VARIABLES = ("BUILD_", "CI", "GITHUB_", "GITLAB_", "JENKINS_", "TEAMCITY_", "TF_BUILD")

ENCODER = "import encoder_service.loader"

# All services, from the start of the process manager to its end. ONNX Runtime looks up its maker's
# address some ten seconds after its import, so the stack stays for a while.
STACK = """
import sys, time
from pathlib import Path
from urllib.request import urlopen
from tests.support.local_stack import COLOURS, Stack, photo

folder = Path(sys.argv[1])
for colour in COLOURS:
    (folder / "photos" / colour).mkdir(parents=True)
    for number in range(3):
        (folder / "photos" / colour / f"{number}.jpg").write_bytes(photo(colour, number))
stack = Stack(folder / "data")
begun = time.monotonic()
stack.start()
try:
    job = stack.json("index", folder / "photos", "--gallery", "colours", "--wait")
    assert job["progress"][0]["stored"] == "15", job
    assert stack.answers()
    urlopen(f"http://127.0.0.1:{stack.ports['LANDMARKS_PAGE_PORT']}").read()
    time.sleep(max(0, 20 - (time.monotonic() - begun)))
finally:
    stack.stop()
"""


def quiet_environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*CI_VARIABLES, ENV_PREFIX, "ORT_", "XDG_"))
    }
    cache = str(Settings.load().cache_dir)  # models are exported there already
    return {**kept, "HOME": str(home), "LANDMARKS_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}


def written(home: Path) -> list[str]:
    """Files below the user's folder; none of ours are there."""
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


def test_an_encoder_that_loads_its_runtimes_writes_no_id_of_this_machine(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-W", "error", "-c", ENCODER]
    assert who_wanted_to_leave(command, quiet_environment(home), tmp_path) == set()
    assert written(home) == []


@pytest.mark.slow
def test_no_service_asks_for_a_name_or_writes_to_an_address_of_another_machine(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-c", STACK, tmp_path]
    assert who_wanted_to_leave(command, quiet_environment(home), tmp_path) == set()
    assert written(home) == []


def test_a_closed_network_writes_down_who_asks_and_whom_they_write_to(tmp_path: Path) -> None:
    asks = """
import contextlib, socket
for host in ("name.example", "192.0.2.9"):
    with contextlib.suppress(OSError):
        socket.create_connection((host, 80))
"""
    command = [sys.executable, "-c", asks]
    wanted = who_wanted_to_leave(command, quiet_environment(tmp_path), tmp_path)
    assert wanted == {"name.example", "192.0.2.9"}
