"""Lets MMEngine inherit from configs of mmcds by the package's name."""


def register_package() -> None:
    """Make ``_base_ = 'mmcds::cds/faster_rcnn_r50_cds.py'`` known to MMEngine, which has a list of such packages."""
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE.setdefault('mmcds', 'mmcds')
