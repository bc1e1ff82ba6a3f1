import subprocess
import sys

from benchmarks.scale.memory import MEBIBYTE, peak_of_group, resident_bytes_of_group

# Fifty megabytes, of which a child has a copy that it has not written to, and ten of its own.
PROGRAM = """
import os, sys
held = b"x" * (50 * 1024**2)
if os.fork() == 0:
    own = b"y" * (10 * 1024**2)
    print("ready", flush=True)
    sys.stdin.readline()
    os._exit(0)
os.wait()
"""


def test_memory_is_that_of_all_processes_of_a_group_and_what_they_share_counts_once():
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        with peak_of_group(process.pid) as peak:
            assert 60 * MEBIBYTE < resident_bytes_of_group(process.pid) < 100 * MEBIBYTE
        assert peak.bytes > 60 * MEBIBYTE
        process.stdin.write(b"\n")
        process.stdin.close()
    assert resident_bytes_of_group(process.pid) == 0
