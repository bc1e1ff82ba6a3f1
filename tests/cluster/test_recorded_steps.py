"""A cluster answers as a real one of three nodes was recorded to: the stand-in, or another.

Of each layout, `recorded_steps.json` has what every step came to. Addresses, peers, which of the
shards is named, and the words of a connection that is refused, of which there are two forms, differ
from one time to the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.replay import Observed, Replay
from tests.support.qdrant_cluster.clusters import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

RECORDED = json.loads(Path(__file__).with_name("recorded_steps.json").read_text())["steps"]
LAYOUTS = {"2/2": (2, 2), "2/1": (2, 1), "3/2": (3, 2)}

_ADDRESS = r"[\w.]+:\d+"
_AWAY = (
    re.escape(
        "Service internal error: Tonic status error: code: 'The service is currently unavailable',"
        " message: "
    )
    + rf'(?:"tcp connect error", source: .*{_ADDRESS}.*"Connection refused" \}}\)\)\)'
    + rf'|"Failed to connect to http://{_ADDRESS}/, error: transport error")'
)
_VARYING = {"{away}": _AWAY, "{address}": _ADDRESS, "{peer}": r"\d+", "{shard}": r"\d+"}


@pytest.fixture
def empty_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """Three nodes without a collection; all run again, and are empty, afterwards."""
    yield cluster
    cluster.restore()
    with closing(cluster.client(1)) as client:
        for one in client.get_collections().collections:
            client.delete_collection(one.name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_step_comes_to_what_was_recorded(empty_cluster: Cluster, layout: str) -> None:
    taken = []
    for step, found in Replay(empty_cluster, *LAYOUTS[layout]).steps():
        taken.append(step)
        expected = RECORDED[step][layout]
        if layout == "2/2" and step in _DIVERGED:
            _DIVERGED[step](found, expected, exact=not empty_cluster.is_real)
        else:
            assert _differences(found, expected) == {}, step
    assert taken == list(RECORDED)


def _differences(found: Observed, expected: Observed) -> dict[str, tuple[Any, Any]]:
    """Return what differs in each field: what was found, and what was expected."""
    assert found.keys() == expected.keys()
    different = {}
    for field, wanted in expected.items():
        got = found[field]
        if isinstance(wanted, dict) and "code" in wanted:
            same = not _differences(got, wanted)
        elif field == "details":
            same = _pattern(wanted).fullmatch(got) is not None
        elif field == "states" and isinstance(wanted, dict):
            same = _same_states(got, wanted)
        else:
            same = got == wanted
        if not same:
            different[field] = (got, wanted)
    return different


def _pattern(details: str) -> re.Pattern[str]:
    text = re.escape(details)
    for name, pattern in _VARYING.items():
        text = text.replace(re.escape(name), pattern)
    if details.startswith("failed to connect"):
        text += "|" + re.escape("Stream removed (Socket closed)")  # a connection that just closes
    return re.compile(text, re.DOTALL)


def _same_states(got: dict[str, int], wanted: dict[str, int]) -> bool:
    """Compare the states of a new collection.

    Copies that a write has missed become Dead one by one, and the record was made meanwhile.
    """
    if "Dead" not in wanted:
        return got == wanted
    return got["Active"] == wanted["Active"] and sum(got.values()) == sum(wanted.values())


def _check_counts(found: Observed, expected: Observed, *, exact: bool) -> None:
    """Check that copies differ though all are active.

    Which copy a real node reads, of a shard that it has none of, is chance; so are counts.
    """
    assert found["states"] == expected["states"]
    if exact:
        assert _differences(found, expected) == {}
    else:
        assert found["node3"]["answer"] != 540


def _check_ids(found: Observed, expected: Observed, *, exact: bool) -> None:
    """Check that deleted points are back, and new ones are missing."""
    assert found["deleted"][2] > 0
    assert found["new"][2] < 60
    if exact:
        for field, numbers in expected.items():
            assert (found[field][0], found[field][2]) == (numbers[0], numbers[2])
        # When node 2 was recorded it read one of its two missing shards from node 1.
        assert found["deleted"][1] > expected["deleted"][1] > 0
        assert found["new"][1] < expected["new"][1] < 60


_DIVERGED = {
    "count on each node: node 3 back": _check_counts,
    "ids that a scroll through each node gives": _check_ids,
}
