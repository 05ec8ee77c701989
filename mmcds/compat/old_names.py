"""Makes old imports and old paths of configs lead to their new places."""

import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

#: Old package, new package, and the modules that kept their names on the way.
_SAME_NAMES = (
    ('mmcds', 'mmcds.checkpoints', 'export onnx'),
    ('mmcds', 'mmcds.paper', 'convert'),
    ('mmcds.config', 'mmcds.cli', 'named_models'),
    ('mmcds.datasets', 'mmcds.cli', 'check_classification coco_report label_order'),
    ('mmcds.datasets', 'mmcds.paper', 'stanford_dogs'),
    ('mmcds.engine.hooks', 'mmcds.config', 'schedule'),
    (
        'mmcds.evaluation',
        'mmcds.analysis.metrics',
        'calibration calibration_error embedding_quality faster_coco_metric matching predictions',
    ),
    (
        'mmcds.evaluation',
        'mmcds.analysis.probing',
        'embed_checkpoint probe_checkpoint probe_data probes tap_features',
    ),
    ('mmcds.evaluation', 'mmcds.checkpoints', 'trained_model'),
    ('mmcds.models', 'mmcds.paper', 'backbones'),
    ('mmcds.models.backbones', 'mmcds.paper.backbones', 'preact_resnet resnext_cifar seresnet'),
    ('mmcds.utils', 'mmcds.compat', 'mim torchvision_compat'),
    (
        'mmcds.visualization',
        'mmcds.analysis.pictures',
        'box_labels detections embedding_map feature_maps fonts reliability save view_sheet',
    ),
    ('mmcds.visualization', 'mmcds.analysis.runs', 'curves report report_tables results_table run_log'),
)
#: Old module -> new one; of a module that was divided, all its parts.
MODULES: dict[str, str | tuple[str, ...]] = {
    **{f'{old}.{name}': f'{new}.{name}' for old, new, names in _SAME_NAMES for name in names.split()},
    'mmcds.datasets.check': 'mmcds.cli.check_detection',
    'mmcds.models.build': 'mmcds.models.parts',
    'mmcds.models.contrastive_supervision': 'mmcds.models.supervision.contrastive',
    'mmcds.models.deep_supervision': 'mmcds.models.supervision.deep',
    'mmcds.models.distilling': 'mmcds.models.supervision.teacher',
    'mmcds.models.losses.blockwise': 'mmcds.utils.blockwise',
    'mmcds.models.losses.comparison': 'mmcds.utils.blockwise',
    'mmcds.models.necks.cds_neck': 'mmcds.models.necks',
    'mmcds.models.necks.chain': 'mmcds.models.necks',
    'mmcds.models.necks.dsn_neck': 'mmcds.models.necks',
    'mmcds.models.necks.stock_neck': ('mmcds.models.necks', 'mmcds.config.resolved'),
    'mmcds.models.outputs': 'mmcds.utils.tree',
    'mmcds.models.packing': 'mmcds.models.views.packing',
    'mmcds.models.partly_labelled': 'mmcds.models.data_samples.sample_list',
    'mmcds.models.projectors.batch_norm': 'mmcds.models.projectors.sepconv',
    'mmcds.models.samplers.areas': 'mmcds.models.step_data',
    'mmcds.models.samplers.targets': 'mmcds.models.step_data',
    'mmcds.models.statistics': 'mmcds.utils.bn_statistics',
    'mmcds.models.teacher': 'mmcds.models.supervision.teacher',
    'mmcds.models.two_view_forward': 'mmcds.models.forward',
    'mmcds.models.views.describe': (
        'mmcds.models.data_samples.sample_list',
        'mmcds.models.data_samples.formats',
    ),
    'mmcds.datasets.image_files': ('mmcds.cli.image_files', 'mmcds.datasets.image_sizes'),
    'mmcds.evaluation': 'mmcds.analysis.metrics',
    'mmcds.probe': 'mmcds.config.channels',
    'mmcds.utils.checkpoint': ('mmcds.checkpoints.files', 'mmcds.engine.weights', 'mmcds.utils.checkpoint_files'),
    'mmcds.utils.cli': 'mmcds.cli.tool',
    'mmcds.utils.config': 'mmcds.config.load_config',
    'mmcds.utils.model_options': 'mmcds.cli.named_models',
    'mmcds.utils.prepare': ('mmcds.cli.prepare', 'mmcds.config.from_options'),
    'mmcds.utils.teacher': ('mmcds.config.check_teacher', 'mmcds.engine.load_teacher'),
    'mmcds.visualization': 'mmcds.analysis.pictures',
}
#: Old module -> why it cannot be imported any more.
GONE = {
    **{
        f'mmcds.doctor.{name}': f'mmcds.doctor.{name} is gone: the doctor is a command, python -m mmcds.doctor'
        for name in ('commands', 'packages', 'probe', 'report')
    },
    'mmcds.utils.families': 'mmcds.utils.families left the package; in the repository it is benchmarks/families',
    'mmcds.utils.allocator': 'mmcds.utils.allocator is gone: see docs/troubleshooting.md, 23, for what does the same',
    'mmcds.utils.safe_globals': 'mmcds.utils.safe_globals is gone: MMEngine reads its checkpoints without it',
}
#: Old name of what has left a module -> where it is.
NAMES = {
    'mmcds.datasets.StanfordDogs': 'mmcds.paper.stanford_dogs.StanfordDogs',
    'mmcds.models.backbones': 'mmcds.paper.backbones',
}
#: Configs of the repository's experiments.
_EXPERIMENTS = re.compile(r'(^|/)benchmarks/(?=(?:classification|detection|pretraining)/|\w+_matrix\.py$)')


class OldNames(MetaPathFinder, Loader):
    """Finds modules by their old names.

    An old name stands for the same module object as the new one, so that nothing is registered twice.

    Args:
        modules (Mapping[str, str | tuple[str, ...]]): As :data:`MODULES`.
    """

    def __init__(self, modules: Mapping[str, str | tuple[str, ...]]) -> None:
        self.modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for an old name, None for any other.

        Raises:
            ModuleNotFoundError: For a module that is gone, with the place where it is.
        """
        if fullname in GONE:
            raise ModuleNotFoundError(GONE[fullname], name=fullname)
        return ModuleSpec(fullname, self) if fullname in self.modules else None

    def exec_module(self, module: ModuleType) -> None:
        """Replace the empty module that Python made for the old name by the new module."""
        old = module.__name__
        new = self.modules[old]
        parts = [new] if isinstance(new, str) else new
        _warn(old, ', '.join(parts), stacklevel=3)
        found = [import_module(part) for part in parts]
        if len(found) == 1:
            sys.modules[old] = found[0]
        else:
            for part in found:
                vars(module).update({name: value for name, value in vars(part).items() if not name.startswith('__')})


def install(modules: Mapping[str, str | tuple[str, ...]] = MODULES) -> None:
    """Register the finder before those for files, since some old packages now exist with other content."""
    sys.meta_path.insert(0, OldNames(modules))


def moved_name(module: str, name: str) -> Any:
    """Find a name that moved out of a module; for its ``__getattr__``.

    Raises:
        AttributeError: If it never had this name.
    """
    old = f'{module}.{name}'
    if old not in NAMES:
        raise AttributeError(f'module {module!r} has no attribute {name!r}')
    _warn(old, NAMES[old], stacklevel=4)
    return resolve_name(NAMES[old])


def moved_file(path: str) -> str:
    """The new path of a config of the experiments if the old one has no file, else the path itself."""
    new = _EXPERIMENTS.sub(r'\1benchmarks/experiments/', path)
    return new if new != path and not Path(path).is_file() and Path(new).is_file() else path


def _warn(old: str, new: str, stacklevel: int) -> None:
    warnings.warn(f'{old} moved to {new}', DeprecationWarning, stacklevel=stacklevel)


def renamed_method(cls: type, old: str, new: str) -> None:
    """For ``__init_subclass__``: a subclass that overrides a method by its old name overrides the new one."""
    if old in vars(cls) and new not in vars(cls):
        _warn(f'{cls.__name__}.{old}', new, stacklevel=5)
        setattr(cls, new, vars(cls)[old])
