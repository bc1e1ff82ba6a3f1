"""Index a folder of photos, follow the job to its end, and list what could not be indexed.

Usage: python examples/index_and_watch.py SOURCE [GALLERY]

The workers read the source, so it is a path or URI on their machine, below an allowed root.
LANDMARKS_SERVER is the search service's address, 127.0.0.1:50050 if unset.
"""

import os
import sys

from landmarkapi.indexing.v1.indexing_pb2 import JobState
from landmarks.client import Landmarks
from landmarks.errors import LandmarksError

SERVER = os.environ.get("LANDMARKS_SERVER", "127.0.0.1:50050")


def main(source: str, gallery: str = "landmarks") -> int:
    with Landmarks(SERVER) as landmarks:
        job = landmarks.index(source, gallery=gallery)
        print(f"job {job.id}")
        for update in landmarks.watch(job.id):  # survives restarts of the search service
            job = update
            for model in job.progress:
                done = model.stored + model.unchanged + model.dead + model.duplicate
                print(f"{model.model}: {done} of {model.listed}")
        print(f"{JobState.Name(job.state)} {job.error}".strip())
        for letter in landmarks.dead_letters(job.id):
            print(f"not indexed by {letter.model}: {letter.path}: {letter.reason}")
    return 0 if job.state == JobState.JOB_STATE_SUCCEEDED else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except LandmarksError as error:
        sys.exit(f"{error}")
