"""The figures of the embedded server beside qdrant-client's own local mode."""
