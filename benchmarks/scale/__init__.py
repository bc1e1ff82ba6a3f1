"""The figures of large collections, and of listing very many photos."""
