"""The figures of the encoder service, one file each."""
