"""`python -m encoder_service`."""

import sys

from encoder_service.allocator import tune_allocator

if __name__ == "__main__":
    tune_allocator()

    from encoder_service.server import main

    sys.exit(main())
