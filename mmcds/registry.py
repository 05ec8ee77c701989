"""Child registries of scope ``mmcds``.

Each is a child of MMEngine's root registry, so a config of any MM project may write
``type='mmcds.CDSNeck'``. ``locations`` are the modules that a registry imports by itself, so the only
import that a config needs is ``custom_imports = dict(imports=['mmcds'])``.

The registries in ``EMPTY`` stay empty. For a config inherited as ``mmcds::...`` MMEngine searches the scope mmcds
first, and warns if that scope lacks a registry.
"""

from importlib.util import find_spec

from mmengine.registry import DATA_SAMPLERS, LOOPS, OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, Registry
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS

from mmcds.compat.mim import register_package

register_package()

SCOPE = 'mmcds'
# These derive from classes of mmpretrain, which a detection-only environment lacks.
PAPER_DATASETS = ['mmcds.paper.stanford_dogs'] if find_spec('mmpretrain') is not None else []

MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['mmcds.models', 'mmcds.paper.backbones'])
MODEL_WRAPPERS = Registry('model_wrapper', parent=MMENGINE_MODEL_WRAPPERS, scope=SCOPE, locations=['mmcds.models'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope=SCOPE, locations=['mmcds.engine.hooks'])
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope=SCOPE, locations=['mmcds.datasets', *PAPER_DATASETS])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope=SCOPE, locations=['mmcds.datasets.transforms'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope=SCOPE, locations=['mmcds.analysis.metrics'])
EMPTY = [
    Registry(root.name, parent=root, scope=SCOPE, locations=['mmcds.registry'])
    for root in (DATA_SAMPLERS, LOOPS, OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS)
]
