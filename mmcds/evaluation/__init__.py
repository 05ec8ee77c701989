"""Metrics that mmdet and mmpretrain lack; none yet."""
