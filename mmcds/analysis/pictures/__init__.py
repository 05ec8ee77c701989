"""Pictures of what a model learns and finds."""

from mmcds.utils.extras import need_analysis

need_analysis('matplotlib')
