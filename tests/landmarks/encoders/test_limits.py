from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.encoders.limits import request_limits
from landmarks.settings import DEFAULT_MAX_PHOTO_BYTES

LIMITS = request_limits(
    pb.InputLimits(
        max_photo_bytes=DEFAULT_MAX_PHOTO_BYTES, max_batch_photos=64, max_request_bytes=160 << 20
    )
)


def test_the_largest_photo_is_accepted_and_goes_alone() -> None:
    assert LIMITS.photo_bytes == DEFAULT_MAX_PHOTO_BYTES
    sizes = [1_000_000, DEFAULT_MAX_PHOTO_BYTES, 1_000_000]
    assert list(LIMITS.parts(sizes)) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_several_photos_of_one_request_have_64_mib_together() -> None:
    assert [part.stop - part.start for part in LIMITS.parts([20_000_000] * 7)] == [3, 3, 1]
