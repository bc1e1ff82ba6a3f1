"""`python -m encoder_service`."""

import sys

from encoder_service.memory import restart_tuned

if __name__ == "__main__":
    restart_tuned()  # before torch is imported, which takes seconds

    from encoder_service.server import main

    sys.exit(main())
