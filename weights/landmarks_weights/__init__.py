"""Weights that this project trained, their model cards, and no code.

`encoder_service.models.shipped_weights` finds them.
"""
