"""Curves, tables and reports of runs, from their logs."""

from mmcds.utils.extras import need_analysis

need_analysis('matplotlib')
