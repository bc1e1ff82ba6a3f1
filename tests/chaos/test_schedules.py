"""Workers are stopped anywhere while much is done in any order, and bring nothing old back.

Each number is a schedule of two workers, stopped before calls of their stores, and of people who
index, prune, cancel, delete, change photos and rebuild the gallery meanwhile.
"""

import os

import pytest

from tests.chaos.world import new_world, run_schedule

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.mark.parametrize("seed", range(6))
def test_who_was_stopped_changes_nothing_when_it_comes_back(still_rig, gallery, seed):
    with new_world(still_rig, gallery) as world:
        run_schedule(world, seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(10 if os.environ.get("LANDMARKS_CHAOS") == "long" else 1))
def test_the_same_with_many_more_schedules(still_rig, gallery, part):
    for seed in range(100 + part * 40, 140 + part * 40):
        with new_world(still_rig, f"{gallery}-{seed}") as world:
            run_schedule(world, seed)
