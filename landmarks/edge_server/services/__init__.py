"""The services of Qdrant's protocol, as tables of methods."""
