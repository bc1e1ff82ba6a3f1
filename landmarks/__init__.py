"""What every part of the landmark search shares, and the `landmarks` command."""
