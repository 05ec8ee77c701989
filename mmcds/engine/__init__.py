"""Hooks of training, and the weights that they check and load."""
