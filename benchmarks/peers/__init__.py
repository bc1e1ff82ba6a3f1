"""Other servers around the very same model and decoding, to be compared with the service."""
