"""Support of other versions of torchvision and MMEngine, and of old names of mmcds."""
