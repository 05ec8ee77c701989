"""The public face of mmcds: adding contrastive deep supervision to a stock config, and taking it off again."""

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
    add_cds,
    check_cds,
    has_cds,
    remove_cds,
)

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
    'add_cds',
    'check_cds',
    'has_cds',
    'remove_cds',
]
