"""The web page: static files, thin JSON routes over gRPC, and the photos of points."""
