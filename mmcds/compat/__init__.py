"""Other versions of torch, torchvision and MMEngine, and the names that mmcds had before."""
