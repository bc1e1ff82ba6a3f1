"""The encoders, which turn photos into vectors, and the gRPC service that runs them."""
