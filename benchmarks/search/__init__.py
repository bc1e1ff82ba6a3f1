"""The figures of searching."""
