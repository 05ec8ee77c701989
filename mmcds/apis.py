"""The public face of mmcds: adding contrastive deep supervision to a config, taking it off, and new batch formats."""

from mmcds.config.add_cds import (
    CDS_HOOK,
    CLASSIFICATION,
    DETECTION,
    DIAGNOSTICS_HOOK,
    DISTILL_HOOK,
    HOOKS,
    NECK,
    NECKS,
    OTHER_PACKAGES,
    OTHER_SAMPLERS,
    REFUSED,
    SEGMENTATION,
    add_cds,
    check_cds,
    has_cds,
    remove_cds,
)
from mmcds.models.data_samples import register_batch_format

__all__ = [
    'CDS_HOOK',
    'CLASSIFICATION',
    'DETECTION',
    'DIAGNOSTICS_HOOK',
    'DISTILL_HOOK',
    'HOOKS',
    'NECK',
    'NECKS',
    'OTHER_PACKAGES',
    'OTHER_SAMPLERS',
    'REFUSED',
    'SEGMENTATION',
    'add_cds',
    'check_cds',
    'has_cds',
    'register_batch_format',
    'remove_cds',
]
