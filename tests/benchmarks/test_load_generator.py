"""The load client, a process of its own, against a real server of the toy encoder."""

import asyncio

import pytest

from benchmarks.harness import CannotMeasureError
from benchmarks.load_generator import Load, Phase, client, traffic_of
from encoder_service.models.registry import MODULES
from tests.support.encoder_server import running_encoder, toy_settings
from tests.support.photos import drawn_photo, saved

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(MODULES, "toy", "tests.support.toy_encoder")


@pytest.fixture
def photos(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(saved(drawn_photo(), "JPEG"))
    return [str(path) for path in sorted(tmp_path.iterdir())]


async def test_clients_ask_again_until_the_time_is_up_and_each_call_is_recorded(photos):
    async with running_encoder(toy_settings()) as (server, _):
        load = Load(f"127.0.0.1:{server.port}", "toy", photos, [Phase(0.5, clients=3, warm=0.1)])
        traffic = await asyncio.to_thread(traffic_of, load)
    [window] = traffic.windows
    assert window.seconds == pytest.approx(0.5)
    assert set(traffic.codes()) == {"OK"}
    assert all(call.photos == 1 for call in traffic.calls)
    assert traffic.rate() > 0
    assert traffic.p95() > 0
    assert 0 < traffic.busy[0] <= 1.5


async def test_a_batch_counts_as_many_photos_as_came_back_as_vectors(photos):
    async with running_encoder(toy_settings()) as (server, _):
        target = f"127.0.0.1:{server.port}"
        load = Load(target, "toy", photos, [Phase(0.3, clients=1)], batch=5)
        whole = await asyncio.to_thread(traffic_of, load)
        assert {call.photos for call in whole.calls} == {5}
    assert {call.code for call in whole.calls} == {"OK"}


@pytest.mark.slow
async def test_a_rate_is_offered_whether_or_not_it_is_answered(photos):
    async with running_encoder(toy_settings()) as (server, _):
        load = Load(f"127.0.0.1:{server.port}", "toy", photos, [Phase(1.0, rate=40)])
        traffic = await asyncio.to_thread(traffic_of, load)
    assert len(traffic.calls) == 40


@pytest.mark.slow
async def test_calls_that_fail_are_reported_and_not_measured(photos, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    async with running_encoder(toy_settings()) as (server, _):
        target = f"127.0.0.1:{server.port}"
        load = Load(target, "toy", photos, [Phase(0.3, clients=1)])
        with pytest.raises(CannotMeasureError, match="INVALID_ARGUMENT"):
            await asyncio.to_thread(traffic_of, load)
        partly = Load(target, "toy", photos, [Phase(0.3, clients=1)], batch=2)
        with pytest.raises(CannotMeasureError, match="INCOMPLETE"):
            await asyncio.to_thread(traffic_of, partly)


@pytest.mark.slow
async def test_a_client_that_is_stopped_begins_no_more_calls(photos):
    async with running_encoder(toy_settings()) as (server, _):
        load = Load(f"127.0.0.1:{server.port}", "toy", photos, [Phase(600, clients=2)])
        for seconds in (2, 8, 32):  # on a loaded machine the client begins later
            with client(load) as asking:
                await asyncio.sleep(seconds)
                asking.stop()
                traffic = await asyncio.to_thread(asking.result)
            if traffic.calls:
                break
    assert traffic.calls
    assert set(traffic.codes()) == {"OK"}
