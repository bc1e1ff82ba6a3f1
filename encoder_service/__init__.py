"""Photos to vectors: the encoders, and the gRPC service that runs them."""
