"""`python -m search_service`: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import sys

from landmarks.probe import is_serving_itself
from landmarks.service import run_service
from search_service.server import serve
from search_service.settings import SearchSettings


def main() -> int:
    """Serve; return the exit status."""
    return run_service(
        "search",
        SearchSettings,
        lambda it: asyncio.run(serve(it)),
        is_ready=lambda it: is_serving_itself(it.search_host, it.search_port, it.tls),
    )


if __name__ == "__main__":
    sys.exit(main())
