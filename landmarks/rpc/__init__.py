"""gRPC on both ends: channels, servers, interceptors, and errors as status codes."""
