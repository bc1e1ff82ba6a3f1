"""`python -m vector_store.edge`: the embedded vector database."""

import sys

from vector_store.edge.server import main

if __name__ == "__main__":
    sys.exit(main())
