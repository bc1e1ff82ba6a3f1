"""The web page: static files, JSON routes over gRPC, and the photos of points."""
