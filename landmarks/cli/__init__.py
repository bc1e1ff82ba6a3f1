"""The `landmarks` command."""

from landmarks.cli.app import main

__all__ = ["main"]
