"""What only the paper's tables need: its checkpoints, its backbones, a data set."""
