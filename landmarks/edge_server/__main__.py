"""`python -m landmarks.edge_server`: the embedded vector database."""

import sys

if __name__ == "__main__":
    from landmarks.edge_server.lean_imports import leave_out_the_client

    leave_out_the_client()

    from landmarks.edge_server.server import main

    sys.exit(main())
