#!/bin/sh
# filelock 4.2.12: after os.fork() the child does not hold its parent's lock. When the parent is killed,
# another process gets the lock while the child still runs. Expected from flock(2), whose lock
# belongs to the open file that parent and child share: the child keeps the lock.
#
# So a server whose forked helpers outlive it does not keep its data folder locked, and a lock does
# not protect what a forked child goes on doing. The lock's file stays after release.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check filelock==4.2.12
cat >holder.py <<'END'
"""Take a lock, with filelock or with flock alone, fork, and report both processes."""
import fcntl, os, sys, time
import filelock
if sys.argv[1] == "filelock":
    lock = filelock.FileLock("data.lock")
    lock.acquire()
else:
    file = open("data.lock", "w")
    fcntl.flock(file, fcntl.LOCK_EX)
child = os.fork()
if child == 0:
    time.sleep(20)
    os._exit(0)
print(os.getpid(), child, flush=True)
time.sleep(20)
END
cat >check.py <<'END'
import os, signal, subprocess, sys
import filelock
def free_after_the_parent_dies(kind):
    holder = subprocess.Popen([sys.executable, "holder.py", kind], stdout=subprocess.PIPE, text=True)
    parent, child = map(int, holder.stdout.readline().split())
    try:
        try:
            filelock.FileLock("data.lock").acquire(timeout=0).lock.release()
            raise SystemExit("changed: nobody holds the lock while the parent runs")
        except filelock.Timeout:
            pass
        os.kill(parent, signal.SIGKILL)
        holder.wait()
        os.kill(child, 0)  # it runs
        try:
            filelock.FileLock("data.lock").acquire(timeout=1).lock.release()
            return True
        except filelock.Timeout:
            return False
    finally:
        os.kill(child, signal.SIGKILL)
assert not free_after_the_parent_dies("flock"), "changed: a forked child does not keep flock's lock"
assert free_after_the_parent_dies("filelock"), "changed: a forked child keeps filelock's lock"
assert os.path.exists("data.lock"), "changed: the lock's file is gone after release"
END
venv/bin/python check.py
echo "as found: filelock 4.2.12: a forked child keeps flock's lock, and not filelock's"
