"""What large requests took is given back."""

import sys

import pytest

from search_service.memory import MemoryReturn, resident_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_freed_memory_below_what_is_still_in_use_goes_back_to_the_system() -> None:
    memory = MemoryReturn()
    # Too small for pages of their own, so they lie one after another in the heap.
    parts = [bytes(bytearray(100_000)) for _ in range(2_000)]
    full = resident_bytes()
    kept = parts[-1]
    del parts
    memory.check()
    assert full - resident_bytes() > 100_000_000
    assert len(kept) == 100_000
