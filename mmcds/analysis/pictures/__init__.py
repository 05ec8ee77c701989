"""Figures of views, features, embeddings and detections."""

from mmcds.utils.extras import need_analysis

need_analysis('matplotlib')
