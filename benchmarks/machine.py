"""What a run was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from encoder_service.execution_plan import cpu_has_bfloat16

_PACKAGES = ("onnxruntime", "torch", "grpcio", "numpy", "pillow")


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def machine() -> str:
    """Return the machine in words."""
    words = [_cpu(), f"{len(cores())} cores"]
    if cpu_has_bfloat16():
        words.append("multiplies bfloat16")
    if memory := _kilobytes("/proc/meminfo", "MemTotal"):
        words.append(f"{memory / 1024**2:.0f} GiB")
    return ", ".join([*words, platform.system()])


def versions() -> str:
    """Return the versions of Python and of what the figures depend on."""
    return ", ".join([f"Python {platform.python_version()}", *map(_version, _PACKAGES)])


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has in RAM; 0 where the system does not say."""
    return _kilobytes(f"/proc/{pid}/status", "VmRSS") * 1024


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed; 0 where it has ended or the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} (none)"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _kilobytes(path: str, field: str) -> int:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
