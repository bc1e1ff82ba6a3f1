"""What makes an answer out of rankings: fusion, votes, and how far these can be trusted. Pure."""
