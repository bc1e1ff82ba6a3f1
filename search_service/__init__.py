"""The front door: searches galleries, starts indexing jobs, lists collections; no torch."""
