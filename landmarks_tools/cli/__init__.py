"""The `landmarks` command."""

from landmarks_tools.cli.app import main

__all__ = ["main"]
