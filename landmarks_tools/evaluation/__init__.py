"""How good encoders are: retrieval and verdict figures, contact sheets, and the study."""
