"""Find the photos of a gallery that show the same landmark as a photo.

Usage: python examples/search.py PHOTO [GALLERY]

LANDMARKS_SERVER is the search service's address, 127.0.0.1:50050 if unset.
"""

import os
import sys
from pathlib import Path

from landmarks.client import Landmarks
from landmarks.errors import LandmarksError

SERVER = os.environ.get("LANDMARKS_SERVER", "127.0.0.1:50050")


def main(photo: str, gallery: str = "landmarks") -> None:
    with Landmarks(SERVER) as landmarks:
        answer = landmarks.search(photo=Path(photo).read_bytes(), gallery=gallery, limit=5)
    print(f"verdict: {answer.verdict.landmark or 'none'}")
    for hit in answer.fused:
        print(f"{hit.rank}. {hit.point.landmark or '?'}  {hit.point.uri}")
    for failure in answer.failures:  # the answer is partial: some models failed or were late
        print(f"{failure.model} did not answer: {failure.status.message}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (LandmarksError, OSError) as error:
        sys.exit(f"{error}")
