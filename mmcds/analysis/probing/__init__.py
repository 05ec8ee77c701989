"""Probes of what each tap of a trained model has learned."""
