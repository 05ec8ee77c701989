"""Experiments on real data: matrices of configs and seeds, and the one driver that runs them."""
