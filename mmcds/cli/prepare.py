"""From a command line to a config that is ready to run."""

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.device import get_device

from mmcds.checkpoints.files import classes_of
from mmcds.config.add_cds import CDS_HOOK, has_cds, remove_cds
from mmcds.config.from_options import config_from_options
from mmcds.config.schedule import ContrastSchedule
from mmcds.datasets.transforms import TwoViews
from mmcds.registry import TRANSFORMS
from mmcds.utils.type_name import bare_kind, type_name

#: Packages whose configs can be trained and tested, by the default scope of a config.
HOSTS = ('mmdet', 'mmpretrain', 'mmrotate', 'mmseg', 'mmyolo')
#: Those that detect objects, by mmdet's means.
DETECTORS = ('mmdet', 'mmrotate', 'mmyolo')
#: What installs the packages that a plain environment lacks, for messages.
INSTALLS = {
    'mmrotate': 'tools/setup_env.sh --with rotate',
    'mmseg': 'tools/setup_env.sh --with seg',
    'mmyolo': 'tools/setup_env.sh --with yolo',
}


def stem_of(config: str) -> str:
    """Name of a config: that of its file without folder, package and ending."""
    return Path(config.rpartition('::')[2]).stem


def default_work_dir(config: str, cds: bool = False) -> str:
    """Default work dir of a run: ``work_dirs/<name>``, as in MMDetection.

    Configs of classification are called alike for all data sets, whose folder therefore stands between.

    Args:
        config (str): As the user gave it.
        cds (bool): Whether CDS is added to a stock config. Defaults to False.
    """
    path = Path(config.rpartition('::')[2])
    data = [path.parent.name] if path.parent.parent.name == 'classification' else []
    return str(Path('work_dirs', *data, path.stem + ('_cds' if cds else '')))


def host_of(cfg: Config) -> str:
    """The package whose tools run a config.

    Raises:
        ValueError: If it is none of :data:`HOSTS`, or cannot be imported.
    """
    scope = cfg.get('default_scope') or 'mmdet'
    if scope not in HOSTS:
        raise ValueError(f'default_scope={scope!r} is not supported; valid: {", ".join(HOSTS)}')
    if scope in INSTALLS:
        try:
            import_module(scope)
        except ImportError as error:
            raise ValueError(
                f'default_scope={scope!r}: the package is not there ({error}); {INSTALLS[scope]} installs it'
            ) from error
        except AssertionError as error:
            # The packages check each other's versions by assertions.
            raise ValueError(
                f'default_scope={scope!r}: the package refuses this environment ({error}); '
                'docs/other_packages.md says what to do'
            ) from error
    return scope


def skip_broken_images(value: Any) -> None:
    """Make training skip images that do not decode, with a counted warning. The stock loader ends the run.

    Args:
        value: A part of a config, such as its ``train_dataloader``; every stock ``LoadImageFromFile`` in it is changed
            in place, whether its ``type`` is a name or the class itself.
    """
    if isinstance(value, dict):
        if bare_kind(value.get('type')) == 'TransformBroadcaster':
            return  # it takes no None
        if _is_transform(value, LoadImageFromFile) and 'ignore_empty' not in value:
            value['type'] = 'mmcds.LoadImageOrSkip'
            value.pop('_scope_', None)
        for each in value.values():
            skip_broken_images(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            skip_broken_images(each)


def prepare_training(cfg: Config, amp: bool = False, auto_scale_lr: bool = False) -> None:
    """Prepare a config for training, and check what would fail in later epochs.

    Args:
        cfg (Config): Changed in place: broken images are skipped by the pipelines that hooks switch to, too.
        amp (bool): Whether ``--amp`` is given. Defaults to False.
        auto_scale_lr (bool): Whether ``--auto-scale-lr`` is given. Defaults to False.

    Raises:
        ValueError: If a hook switches to a pipeline without the second view that the contrast needs, if there is no
            device for mixed precision, or no batch size to scale the learning rate from.
    """
    check_mixed_precision(cfg, amp)
    if auto_scale_lr:
        check_auto_scale_lr(cfg)
    for part in ('train_dataloader', 'custom_hooks', 'default_hooks'):
        skip_broken_images(cfg.get(part))
    check_switched_views(cfg)


def check_mixed_precision(cfg: Config, amp: bool) -> None:
    """Check that there is a device for MMEngine's AmpOptimWrapper if ``--amp`` or the config asks for it.

    Raises:
        ValueError: If there is none, or ``--amp`` finds no optimizer wrapper to change.
    """
    wrapper = cfg.get('optim_wrapper')
    if amp and not isinstance(wrapper, dict):
        raise ValueError('--amp: the config has no optim_wrapper; give a config that trains')
    kind = wrapper.get('type') if isinstance(wrapper, dict) else None
    if get_device() == 'cpu' and (amp or str(getattr(kind, '__name__', kind)).endswith('AmpOptimWrapper')):
        what = '--amp' if amp else "optim_wrapper.type='AmpOptimWrapper'"
        remedy = 'leave it out' if amp else "set optim_wrapper.type='OptimWrapper' without loss_scale and dtype"
        raise ValueError(f"{what}: MMEngine's mixed precision needs a GPU, and there is only the CPU; {remedy}")


def check_auto_scale_lr(cfg: Config) -> None:
    """Check that the config has the batch size that ``--auto-scale-lr`` scales the learning rate from.

    Args:
        cfg (Config): Changed in place: mmdet's tool wants ``auto_scale_lr.enable`` to be there, too.

    Raises:
        ValueError: If the config does not say it.
    """
    found = cfg.get('auto_scale_lr')
    size = found.get('base_batch_size') if isinstance(found, dict) else None
    if not isinstance(size, int) or size < 1:
        raise ValueError(
            f'--auto-scale-lr: auto_scale_lr.base_batch_size={size} is not a batch size; add --cfg-options '
            "auto_scale_lr.base_batch_size=N, the images per step, over all GPUs, of the config's learning rate"
        )
    cfg.auto_scale_lr.setdefault('enable', False)


def check_switched_views(cfg: Config) -> None:
    """Check that pipelines that hooks switch to make a second view if the first pipeline does.

    Raises:
        ValueError: If one has no ``TwoViews`` while the contrast still weighs something.
    """
    if not has_cds(cfg) or not any(_is_transform(each, TwoViews) for each in _dicts(cfg.get('train_dataloader'))):
        return
    for hook in _dicts([cfg.get('custom_hooks'), cfg.get('default_hooks')]):
        for key, pipeline in hook.items():
            if not key.endswith('pipeline') or not pipeline or not isinstance(pipeline, (list, tuple)):
                continue
            epoch = hook.get('switch_epoch', hook.get('action_epoch'))
            if _contrasts_after(cfg, epoch) and not any(_is_transform(each, TwoViews) for each in _dicts(pipeline)):
                when = '' if epoch is None else f' (from epoch {epoch} on)'
                raise ValueError(
                    f'custom_hooks: {key}{when} makes no second view for the contrast; end it with '
                    "dict(type='mmcds.TwoViews', ...) as train_dataloader's, or stop the contrast before it: "
                    "dict(type='mmcds.CDSHook', schedule=dict(stop=...))"
                )


def _contrasts_after(cfg: Config, epoch: Any) -> bool:
    """Whether the contrast has a weight in an epoch from this one on; True if that is not known."""
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if type_name(hook) == CDS_HOOK]
    schedule = ContrastSchedule.from_cfg(hooks[0].get('schedule') if hooks else None)
    epochs = (cfg.get('train_cfg') or {}).get('max_epochs')
    if not isinstance(epoch, int) or not isinstance(epochs, int):
        return schedule.stop is None
    if schedule.unit == 'iter':
        return schedule.stop is None
    return any(schedule.factor(each, epochs, 1) > 0 for each in range(epoch, epochs))


def _is_transform(value: Any, kind: type) -> bool:
    """Whether a config is of this transform class, given by name in any scope or as the class itself."""
    name = value.get('type') if isinstance(value, dict) else None
    if not isinstance(name, str):
        return name is kind
    return name.rpartition('.')[2] == kind.__name__ and TRANSFORMS.get(name) is kind


def _dicts(value: Any) -> Iterator[dict]:
    """All dicts in a part of a config."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _dicts(each)


def prepare_config(
    path: str, options: dict[str, Any] | None, cds: bool, check_data: bool, teacher: bool | None = None
) -> Config:
    """Load a config, override its parts, add CDS, and check what can be checked before anything is built.

    Args:
        path (str): As :func:`~mmcds.config.load_config.load_config` takes it.
        options (dict, optional): From ``--cfg-options``; ``data_root`` reaches all data sets.
        cds (bool): Whether to add CDS.
        check_data (bool): Whether to look at the annotation files.
        teacher (bool, optional): Whether the teacher of a distilled student has to be there. Defaults to None: where
            the data have to be.

    Returns:
        Config: Ready for a Runner.

    Raises:
        ValueError, FileNotFoundError: For a mistake in any of it.
    """
    cfg = config_from_options(path, options, cds, check_data if teacher is None else teacher)
    if check_data:
        check_training_data(cfg)
    return cfg


def without_contrast(cfg: Config) -> Config:
    """Config of the stock model for testing. It loads a checkpoint with CDS or without.

    Args:
        cfg (Config): With CDS or without; not changed.

    Returns:
        Config: A changed copy, whose :class:`~mmcds.engine.hooks.StockWeightsHook` refuses another model's checkpoint.
    """
    cfg = remove_cds(cfg)
    # The config that a resumed run wrote down says so; a test has no optimizer to resume.
    cfg.resume = False
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmcds.StockWeightsHook')]
    return cfg


def check_test_data(cfg: Config, checkpoint: str | None = None) -> None:
    """Check the test data of a config before its model is built.

    Args:
        cfg (Config): Not changed.
        checkpoint (str, optional): The checkpoint to be tested; its classes are compared where the training data are
            not there. Defaults to None.

    Raises:
        ValueError, FileNotFoundError: If data are missing, do not fit the model, or number its classes otherwise.
    """
    _check_data(cfg, ['test_dataloader'], lambda: classes_of(checkpoint) if checkpoint else None)


def check_training_data(cfg: Config, look: bool = True) -> None:
    """Check the data of a config before its model is built, and make training skip broken images.

    Args:
        cfg (Config): Changed in place.
        look (bool): Whether to look at files now. Without, broken images are skipped all the same. Defaults to True.

    Raises:
        ValueError, FileNotFoundError: If data are missing or do not fit the model.
    """
    skip_broken_images(cfg.get('train_dataloader'))
    if host_of(cfg) == 'mmpretrain':
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmcds.LabelCheckHook')]
    if look:
        _check_data(cfg, ['train_dataloader', 'val_dataloader'])


def _check_data(
    cfg: Config, loaders: Sequence[str], trained_classes: Callable[[], Sequence[str] | None] = lambda: None
) -> None:
    """Check the data of some loaders: raise fatal findings, print the others."""
    host = host_of(cfg)
    if host == 'mmpretrain':
        from mmcds.cli.check_classification import check_classification

        for warning in check_classification(cfg, loaders, trained_classes):
            print(f'warning: {warning}', file=sys.stderr)
        return
    if host in ('mmrotate', 'mmseg'):
        from mmcds.cli.check_rotate_seg import check_rotate_seg

        for warning in check_rotate_seg(cfg, loaders, trained_classes):
            print(f'warning: {warning}', file=sys.stderr)
    if host not in DETECTORS:
        return
    from mmcds.cli.check_detection import check_datasets

    reports = check_datasets(cfg, loaders, trained_classes)
    for report in reports:
        report.raise_errors()
    for report in reports:
        if report.summary():
            print(f'warning: {report.summary()}', file=sys.stderr)
