"""What acts during training."""
