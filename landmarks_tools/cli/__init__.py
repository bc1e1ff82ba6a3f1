"""The `landmarks` command."""

from landmarks_tools.cli.standard_streams import open_missing_streams


def main() -> None:
    """Run the command."""
    open_missing_streams()
    from landmarks_tools.cli.app import main as run

    run()


__all__ = ["main"]
