"""Training of the encoders whose weights this project makes."""
