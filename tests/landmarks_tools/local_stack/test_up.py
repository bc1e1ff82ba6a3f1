"""`landmarks up` as its user sees it: real processes, killed and brought back."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from io import StringIO
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from PIL import Image
from rich.console import Console

from landmarks.client import Landmarks
from landmarks_tools.cli import output
from landmarks_tools.cli.index import follow
from landmarks_tools.cli.output import ExitCode
from tests.support.local_stack import LANDMARKS, Stack
from tests.support.processes import command_line, cpu_ticks, eventually, is_running
from tests.support.scrape import scrape

pytestmark = pytest.mark.integration


def encoders(stack: Stack) -> list[int]:
    return [pid for pid, line in stack.below().items() if line.endswith("-m encoder_service")]


def test_a_folder_is_indexed_by_both_encoders_and_a_second_run_encodes_nothing(
    stack: Stack, folder: Path
) -> None:
    before = {pid: cpu_ticks(pid) for pid in encoders(stack)}
    assert len(before) == 2
    job = stack.json("index", folder, "--gallery", "colours", "--wait")
    (progress,) = job["progress"]
    assert (progress["listed"], progress["stored"], progress["dead"]) == ("40", "40", "0")
    assert all(cpu_ticks(pid) > ticks for pid, ticks in before.items()), "one encoder got no work"

    again = stack.json("index", folder, "--gallery", "colours", "--wait")
    (progress,) = again["progress"]
    assert (progress["unchanged"], progress["encoded"]) == ("40", "0")
    assert stack.points("colours") == 40

    collections = stack.run("collections", "--gallery", "colours").stdout
    [collection] = stack.json("collections", "--gallery", "colours")
    assert f" {collection['digest'][:8]} " in collections
    assert "calibrated" in collections


def test_the_commands_to_try_go_to_this_stack_and_no_other(stack: Stack) -> None:
    eventually(lambda: "Ctrl-C stops everything" in stack.log.read_text(), "all is printed")
    text = stack.log.read_text()
    assert f"landmarks index FOLDER --wait --server {stack.server}\n" in text
    assert f"landmarks search PHOTO --server {stack.server}\n" in text


def test_the_page_is_served_and_its_address_printed(stack: Stack) -> None:
    address = f"http://localhost:{stack.ports['LANDMARKS_PAGE_PORT']}"
    assert f"Open {address} in a browser." in stack.log.read_text()
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert "<title>Landmarks</title>" in answer.read().decode()


def test_every_process_of_ours_serves_its_metrics(stack: Stack) -> None:
    first = stack.ports["LANDMARKS_METRICS_PORT"]
    # Qdrant, an encoder, a worker, the search service, and the encoder that scaling has added.
    served = [scrape(first + index) for index in range(5)]
    assert all(any(name == "process_start_time_seconds" for name, _ in one) for one in served)
    ready = ("landmarks_encoder_model_ready", frozenset({("model", "scratch")}))
    assert [one.get(ready) for one in served] == [None, 1, None, None, 1]


def test_reflection_lists_the_three_services(stack: Stack) -> None:
    listed: set[str] = set()
    for port in ("LANDMARKS_SEARCH_PORT", "LANDMARKS_ENCODER_PORT"):
        with grpc.insecure_channel(f"127.0.0.1:{stack.ports[port]}") as channel:
            listed |= set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert listed >= {
        "landmarkapi.search.v1.SearchService",
        "landmarkapi.indexing.v1.IndexingService",
        "landmarkapi.encoder.v1.EncoderService",
    }


PLAIN_CLIENT = """
import sys, grpc
from landmarkapi.indexing.v1 import indexing_pb2, indexing_pb2_grpc
from landmarkapi.search.v1 import search_pb2, search_pb2_grpc

server, folder, photo = sys.argv[1:]
with grpc.insecure_channel(server) as channel:
    indexing = indexing_pb2_grpc.IndexingServiceStub(channel)
    spec = indexing_pb2.IndexSpec(gallery="plain", source=folder)
    request = indexing_pb2.CreateIndexJobRequest(spec=spec)
    job = indexing.CreateIndexJob(request, timeout=30).job
    for answer in indexing.WatchIndexJob(indexing_pb2.WatchIndexJobRequest(id=job.id), timeout=120):
        job = answer.job
    assert job.state == indexing_pb2.JOB_STATE_SUCCEEDED, job
    search = search_pb2_grpc.SearchServiceStub(channel)
    query = search_pb2.SearchRequest(gallery="plain", photo=open(photo, "rb").read(), limit=1)
    hit = search.Search(query, timeout=30).fused[0]
    print(job.progress[0].stored, hit.point.landmark, hit.standings[0].model)
assert not {name for name in sys.modules if name.split(".")[0] == "landmarks"}
assert search_pb2.__file__.startswith(sys.path[0]), search_pb2.__file__
"""


def test_a_client_written_from_the_protos_alone_indexes_watches_and_searches(
    stack: Stack, folder: Path, tmp_path: Path
) -> None:
    generate = Path(__file__).parents[3] / "scripts" / "generate_stubs.py"
    subprocess.run([sys.executable, generate, tmp_path], check=True, capture_output=True)
    for package in (tmp_path / "landmarkapi", *(tmp_path / "landmarkapi").rglob("*/")):
        (package / "__init__.py").touch()
    script = tmp_path / "client.py"
    script.write_text(PLAIN_CLIENT)
    query = folder / "green" / "2.jpg"
    result = subprocess.run(
        [sys.executable, script, stack.server, folder, query], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["40", "green", "scratch"]


def test_a_search_finds_its_photos_filters_and_draws_a_sheet(
    stack: Stack, folder: Path, tmp_path: Path
) -> None:
    query, sheet = folder / "blue" / "3.jpg", tmp_path / "sheet.png"
    result = stack.run("search", query, "--gallery", "colours", "--sheet", sheet)
    assert result.returncode == 0, result.stderr
    assert "blue" in result.stdout
    with Image.open(sheet) as drawn:
        assert drawn.format == "PNG"
    arguments = (
        "search",
        query,
        "--gallery",
        "colours",
        "--limit",
        "40",
        "--where",
        "landmark=red",
    )
    (ranking,) = stack.json(*arguments)["rankings"]
    assert {hit["point"]["landmark"] for hit in ranking["hits"]} == {"red"}
    assert len(ranking["hits"]) == 8


def test_a_search_can_be_for_a_part_for_points_and_for_what_is_like_and_unlike(
    stack: Stack, folder: Path
) -> None:
    red, blue = folder / "red" / "3.jpg", folder / "blue" / "3.jpg"

    def found(*arguments: object) -> list[dict[str, dict[str, str]]]:
        (ranking,) = stack.json("search", *arguments, "--gallery", "colours")["rankings"]
        return ranking["hits"]

    (nearest, *_) = found(red, "--box", "0,0,0.5,1", "--collapse", "--expand", "3")
    assert nearest["point"]["landmark"] == "red"
    id_ = nearest["point"]["id"]
    for more in (("--point", id_), ("--like", id_, "--like", red, "--unlike", blue)):
        hits = found(*more)
        assert hits[0]["point"]["landmark"] == "red"
        assert id_ not in [hit["point"]["id"] for hit in hits]
    for wrong in ((), (red, "--point", id_), ("--point", id_, "--box", "0,0,1,1")):
        result = stack.run("search", *wrong, "--gallery", "colours")
        assert result.returncode == ExitCode.USAGE, result.stdout


@pytest.mark.slow
def test_a_map_is_drawn_once_and_a_calibrated_gallery_says_how_sure_it_is(
    stack: Stack, folder: Path
) -> None:
    stack.json("index", folder, "--gallery", "colours", "--wait")
    drawn = stack.json("map", "scratch", "--gallery", "colours")
    assert len(drawn["points"]) == int(drawn["collection_points"])
    assert stack.json("map", "scratch", "--gallery", "colours") == drawn
    again = stack.json("map", "scratch", "--gallery", "colours", "--again")
    assert again["draw_time"] > drawn["draw_time"]
    result = stack.run("calibrate", "--gallery", "colours")
    assert result.returncode == ExitCode.OK, result.stderr
    assert "of them get a landmark" in result.stdout

    def sure() -> bool:
        said = stack.run("search", folder / "red" / "3.jpg", "--gallery", "colours").stdout
        return "This is red" in said and "% sure" in said

    eventually(sure, "the search service has read the calibration")


def test_on_a_terminal_a_model_has_one_bar_however_often_it_is_updated(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = StringIO()
    monkeypatch.setattr(output, "console", Console(file=screen, force_terminal=True, width=120))
    with Landmarks(stack.server) as client:
        job = follow(client, next(iter(client.jobs("colours"))).id)
    shown = screen.getvalue()
    assert f"{job.progress[0].listed}/{job.progress[0].listed}" in shown
    assert "\x1b[1A" not in shown, "the cursor went up: there is more than one bar"


@pytest.mark.slow
def test_waiting_for_a_job_goes_on_when_the_search_service_dies_meanwhile(
    stack: Stack, folder: Path
) -> None:
    frozen = encoders(stack)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        waiting = subprocess.Popen(
            [LANDMARKS, "index", folder, "--gallery", "watched", "--wait", "--json"],
            env=stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with Landmarks(stack.server) as client:
            eventually(lambda: bool(list(client.jobs("watched"))), "the job is there")
        (search,) = (
            pid for pid, line in stack.below().items() if line.endswith("-m search_service")
        )
        os.kill(search, signal.SIGKILL)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    printed, complaint = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, complaint
    assert json.loads(printed)["progress"][0]["stored"] == "40"


def test_lists_of_jobs_models_and_collections_say_what_there_is(stack: Stack) -> None:
    jobs = stack.json("jobs")
    assert {job["state"] for job in jobs} == {"JOB_STATE_SUCCEEDED"}
    assert stack.json("jobs", jobs[0]["id"])["id"] == jobs[0]["id"]
    model, earlier = stack.json("models")
    assert (model["name"], model["ready"], model["superseded_by"]) == ("scratch", True, "")
    assert (earlier["name"], earlier["superseded_by"]) == ("scratch", model["digest"])
    (collection,) = stack.json("collections", "--gallery", "colours")
    assert (collection["gallery"], collection["points"]) == ("colours", "40")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("search", "README.md"), 3, "landmarks"),
        (("search", "no-such-file.jpg"), 2, "no-such-file.jpg"),
        (("search", "README.md", "--gallery", "colours"), 2, "not a photo"),
        (("index", "/no/such/folder"), 2, "/no/such/folder"),
        (("jobs", "no-such-job"), 3, "no-such-job"),
    ],
    ids=["unknown gallery", "no file", "not a photo", "no folder", "unknown job"],
)
def test_what_cannot_be_done_is_said_in_words_and_by_the_exit_status(
    stack: Stack, arguments: tuple[str, ...], status: int, said: str
) -> None:
    result = stack.run(*arguments)
    assert (result.returncode, said in result.stderr) == (status, True), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_second_stack_on_the_same_data_or_ports_is_refused(stack: Stack, tmp_path: Path) -> None:
    same_data = stack.run("up", "--models", "scratch", "--data-dir", stack.data_dir)
    assert same_data.returncode == 1
    assert str(stack.data_dir) in same_data.stderr.replace("\n", "")
    same_ports = stack.run("up", "--models", "scratch", "--data-dir", tmp_path)
    assert same_ports.returncode == 1
    assert "is in use" in same_ports.stderr.replace("\n", " ")


@pytest.mark.slow
def test_any_process_that_is_killed_comes_back_with_all_points(stack: Stack, folder: Path) -> None:
    stack.json("index", folder, "--gallery", "colours", "--wait")
    points = stack.points()
    assert points >= 40
    lines, killed = set(stack.below().values()), 0
    for line in lines:
        count = len(stack.below())
        victim = next((pid for pid, command in stack.below().items() if command == line), None)
        if victim is None:
            continue  # it was started again since, by its parent, with other arguments
        os.kill(victim, signal.SIGKILL)
        killed += 1
        eventually(lambda pid=victim: not is_running(pid), "killed")
        eventually(
            lambda number=count: len(stack.below()) == number and stack.answers(),
            f"{line} is back",
        )
        eventually(lambda: stack.points() == points, "all points are there")
    # Of those with the engine's parent, only one process or another may have other arguments.
    assert killed > len(lines) // 2


@pytest.mark.slow
def test_after_all_were_killed_another_start_finds_everything(stack: Stack) -> None:
    assert stack.process is not None
    points = stack.points()
    assert points >= 40
    everything = [stack.process.pid, *stack.below()]
    for pid in everything:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
    stack.process.wait(10)
    eventually(lambda: not any(map(is_running, everything)), "all are gone")
    stack.start()
    assert stack.points() == points
    assert stack.answers()


def test_ctrl_c_stops_everything(stack: Stack) -> None:
    everything = list(stack.below())
    assert stack.stop() == 0
    assert not [command_line(pid) for pid in everything if is_running(pid)]
    for port in stack.ports.values():
        socket.create_server(("127.0.0.1", port)).close()
