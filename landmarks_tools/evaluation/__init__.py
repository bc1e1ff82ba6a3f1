"""Retrieval metrics, contact sheets, benchmarks and the sample gallery."""
