"""Code that only the paper's tables need: checkpoint conversion, backbones, a data set."""
