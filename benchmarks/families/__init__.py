"""One toy training step for every family of configs that mmdet, mmrotate, mmseg and mmyolo ship."""

from .choose import Family, list_families
from .inputs import toy_inputs
from .shrink import shrink
from .walk import FamilyResult, walk_family

__all__ = ['Family', 'FamilyResult', 'list_families', 'shrink', 'toy_inputs', 'walk_family']
