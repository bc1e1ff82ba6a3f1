"""Logs, metrics, traces, and the request id that joins them."""
