"""The distributions that provide what mmcds imports, and the versions that it was tested with."""

#: As ``python_requires`` of setup.py.
MINIMUM_PYTHON = (3, 10)

#: The two sets of distributions that provide the mm packages under the same import names.
STACKS = ('default', 'upstream')
MM_PACKAGES = ('mmengine', 'mmcv', 'mmdet', 'mmpretrain')

#: Import name -> distributions that provide it, in the order in which they are imported and shown.
PROVIDERS: dict[str, tuple[str, ...]] = {
    'numpy': ('numpy',),
    'cv2': (
        'opencv-python',
        'opencv-python-headless',
        'opencv-contrib-python',
        'opencv-contrib-python-headless',
    ),
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'pycocotools': ('pycocotools',),
    'matplotlib': ('matplotlib',),
    'kornia': ('kornia',),
    'sklearn': ('scikit-learn',),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmcds': ('mmcds',),
}

#: Import name -> what has to import before it can. A package's own failure is reported only if these work.
NEEDS: dict[str, tuple[str, ...]] = {
    'torchvision': ('torch',),
    'pycocotools': ('numpy',),
    'matplotlib': ('numpy',),
    'kornia': ('torch',),
    'sklearn': ('numpy',),
    'mmengine': ('numpy', 'torch', 'matplotlib'),
    'mmcv': ('numpy', 'cv2', 'mmengine'),
    'mmcv.ops': ('torch', 'mmcv'),
    'mmdet': ('torchvision', 'mmcv', 'mmcv.ops', 'pycocotools'),
    'mmpretrain': ('torchvision', 'mmcv'),
    'mmcds': ('kornia', 'mmdet', 'mmpretrain'),
}

#: Import name -> the requirement each stack was tested with; ``requirements*.txt`` says the same.
PINS: dict[str, dict[str, str]] = {
    'default': {
        'torch': 'torch==2.13.0',
        'torchvision': 'torchvision==0.28.0',
        'mmengine': 'onedl-mmengine==0.10.12',
        'mmcv': 'onedl-mmcv==2.3.6',
        'mmdet': 'onedl-mmdetection==3.5.1',
        'mmpretrain': 'onedl-mmpretrain==1.3.6',
        'numpy': 'numpy==2.2.6',
        'cv2': 'opencv-python==4.12.0.88',
    },
    'upstream': {
        'torch': 'torch==2.1.2',
        'torchvision': 'torchvision==0.16.2',
        'mmengine': 'mmengine==0.10.7',
        'mmcv': 'mmcv==2.1.0',
        'mmdet': 'mmdet==3.3.0',
        'mmpretrain': 'mmpretrain==1.2.0',
        'numpy': 'numpy==1.26.4',
        'cv2': 'opencv-python==4.11.0.86',
    },
}
COMMON_PINS: dict[str, str] = {
    'kornia': 'kornia==0.8.2',
    'pycocotools': 'pycocotools==2.0.11',
    'matplotlib': 'matplotlib>=3.7',
    'sklearn': 'scikit-learn>=1.5,<2',
}
#: The first mmengine of OpenMMLab that loads its own checkpoints under torch >= 2.6.
MMENGINE_FOR_NEW_TORCH = 'mmengine==0.11.0rc3'

#: Import names without which training works: packages of the extra ``analysis`` that no mm package needs.
OPTIONAL = ('sklearn',)

#: Import name -> (from, below): the versions mmcds can work with; ``mmdet`` 3.3 itself refuses others of mmcv.
SUPPORTED: dict[str, tuple[str, str]] = {
    'torch': ('2.0', '3'),
    'mmengine': ('0.8.3', '1.0'),
    'mmcv': ('2.0', '3'),
    'mmdet': ('3.0', '4'),
    'mmpretrain': ('1.0', '2'),
    'kornia': ('0.7', '1'),
}


def pin(package: str, stack: str) -> str:
    """The tested requirement of a package in a stack; of a stack that is neither, the default's."""
    of_stack = PINS.get(stack, PINS['default'])
    return of_stack.get(package) or COMMON_PINS.get(package) or PROVIDERS[package][0]


def stack_of(distribution: str) -> str:
    """The stack that a distribution of an mm package belongs to."""
    return 'default' if distribution.startswith('onedl-') else 'upstream'
