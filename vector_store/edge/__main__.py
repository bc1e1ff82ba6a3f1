"""`python -m vector_store.edge`: the embedded vector database."""

from vector_store.edge.server import main

main()
