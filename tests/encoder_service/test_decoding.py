"""Reading headers: no request waits for all photos of another."""

import asyncio
import threading

from encoder_service import decoding
from encoder_service.decoding import DecodeThreads, UndecodedPhoto
from landmarks.photos.limits import PhotoLimits
from tests.support.photos import drawn_photo, saved

LIMITS = PhotoLimits(max_bytes=1_000_000, max_pixels=1_000_000)
PHOTO = UndecodedPhoto(saved(drawn_photo(), "PNG"))


async def test_a_photo_does_not_wait_for_all_headers_of_another_request():
    threads = DecodeThreads(1)
    many = asyncio.create_task(threads.declared_pixels([PHOTO] * 200, LIMITS))
    await asyncio.sleep(0)
    single = asyncio.create_task(threads.declared_pixels([PHOTO], LIMITS))
    done, _ = await asyncio.wait({many, single}, return_when=asyncio.FIRST_COMPLETED)
    assert done == {single}
    assert await many == [320 * 240] * 200
    threads.close()


async def test_headers_are_not_read_for_a_caller_who_has_left(monkeypatch):
    threads, begun, go_on = DecodeThreads(1), asyncio.Event(), threading.Event()
    loop, read, declared = asyncio.get_running_loop(), [], decoding.declared_pixels

    def held(data, limits):
        read.append(data)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        return declared(data, limits)

    monkeypatch.setattr(decoding, "declared_pixels", held)
    many = asyncio.create_task(threads.declared_pixels([PHOTO] * 50, LIMITS))
    await begun.wait()
    many.cancel()
    go_on.set()
    assert await threads.declared_pixels([PHOTO], LIMITS) == [320 * 240]
    assert len(read) == 2
    threads.close()
