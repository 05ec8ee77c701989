"""Packaging of mmcds.

The mm packages are not requirements: two stacks share their import names (requirements.txt and
requirements/upstream.txt), and installing mmcds must never replace the one that is already there.
`python -m mmcds.doctor` says what is missing and how to get it.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


#: What MIM and `_base_ = 'mmcds::...'` look for inside the package; in the repository these are links.
MIM = [
    '.mim/model-index.yml',
    '.mim/configs/**/*.py',
    '.mim/configs/**/*.yml',
    '.mim/tools/*.py',
    '.mim/tools/dist_*.sh',
    '.mim/tools/slurm_*.sh',
    '.mim/tools/analysis/*.py',
]


def read_version() -> str:
    namespace: dict[str, str] = {}
    exec((ROOT / 'mmcds' / 'version.py').read_text(), namespace)
    return namespace['__version__']


setup(
    name='mmcds',
    version=read_version(),
    description='Contrastive deep supervision for MMDetection, MMPretrain, MMRotate, MMYOLO and MMSegmentation',
    long_description=(ROOT / 'README.md').read_text() if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    author='the mmcds authors',
    license='Apache-2.0',
    keywords='computer vision, object detection, contrastive learning, deep supervision, OpenMMLab',
    packages=find_packages(include=['mmcds', 'mmcds.*']),
    package_data={'mmcds': ['py.typed', *MIM]},
    python_requires='>=3.10',
    # kornia 0.9 needs torch >= 2.5.1, and pip would replace an older torch under mmcv's compiled operators;
    # 0.8.3 does not import beside torch 2.1. 0.7.4 to 0.8.2 give the same pictures to the last bit.
    install_requires=['torch', 'kornia>=0.7.4,<0.8.3'],
    extras_require={'analysis': ['matplotlib', 'pycocotools', 'scikit-learn>=1.5,<2']},
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.11',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
)
