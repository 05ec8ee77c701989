"""Registries of scope ``ideas``."""

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

SCOPE = 'ideas'
MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['benchmarks.experiments.ideas'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope=SCOPE, locations=['benchmarks.experiments.ideas'])
