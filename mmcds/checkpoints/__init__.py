"""Checkpoints after training: loading them for a test, and stock checkpoints from CDS ones."""
