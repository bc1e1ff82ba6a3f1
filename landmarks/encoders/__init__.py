"""Finding encoder services: which endpoints serve which model and digest, and their limits."""
