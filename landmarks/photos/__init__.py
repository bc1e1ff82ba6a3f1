"""Photos: where they may be read from, their bytes, and their pixels."""
