import threading

import pytest

from landmarks.photos.decoding_room import DecodingRoom

LARGE = 100_000_000


def started(room, size, entered, leave):
    def hold():
        with room.held(size):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    return thread


def test_large_photos_wait_for_room_and_small_ones_do_not():
    room = DecodingRoom(3 * LARGE)
    entered, leave = [threading.Event() for _ in range(3)], threading.Event()
    threads = [started(room, 2 * LARGE, entered[0], leave)]
    assert entered[0].wait(10)
    threads.append(started(room, 2 * LARGE, entered[1], leave))
    assert not entered[1].wait(0.1)
    threads.append(started(room, 1_000_000, entered[2], leave))
    assert entered[2].wait(10)
    assert not entered[1].is_set()
    leave.set()
    assert entered[1].wait(10)
    for thread in threads:
        thread.join()


def test_a_photo_larger_than_all_the_room_goes_alone():
    room = DecodingRoom(LARGE)
    entered, leave = [threading.Event() for _ in range(2)], threading.Event()
    threads = [started(room, 5 * LARGE, entered[0], leave)]
    assert entered[0].wait(10)
    threads.append(started(room, LARGE, entered[1], leave))
    assert not entered[1].wait(0.1)
    leave.set()
    assert entered[1].wait(10)
    for thread in threads:
        thread.join()


def test_room_is_given_back_by_a_photo_that_fails():
    room = DecodingRoom(LARGE)
    with pytest.raises(ZeroDivisionError), room.held(LARGE):
        1 / 0  # noqa: B018
    with room.held(LARGE):
        pass
