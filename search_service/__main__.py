"""`python -m search_service`: serve until told to stop."""

from __future__ import annotations

import asyncio
import sys

from landmarks.errors import ConfigurationError
from landmarks.logs import configure_logging
from search_service.server import serve
from search_service.settings import SearchSettings

# Starting again does not help until someone has changed something.
EXIT_CONFIGURATION = 2


def main() -> int:
    """Serve; return the exit status."""
    try:
        settings = SearchSettings.load()
        configure_logging(settings, "search")
        asyncio.run(serve(settings))
    except ConfigurationError as error:
        sys.stderr.write(f"search service: {error}\n")
        return EXIT_CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
