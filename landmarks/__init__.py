"""The ground of the landmark search, which all services and tools share, and its Python client.

Importing this package imports nothing else.
"""
