"""From a command line to a config that is ready to run."""

import inspect
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcds.apis import DISTILL_HOOK, NECKS, add_cds, check_cds, has_cds, remove_cds
from mmcds.datasets.labelled_fraction import check_labelled_fraction

from .config import load_config, set_data_root

#: Packages whose train.py and test.py can be called, by the default scope of a config.
HOSTS = ('mmdet', 'mmpretrain')


def stem_of(config: str) -> str:
    """The name of a config: its file's, without folder, package and ending."""
    return Path(config.rpartition('::')[2]).stem


def default_work_dir(config: str, cds: bool = False) -> str:
    """Where a run goes that says nothing: ``work_dirs/<name>``, as in MMDetection.

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
        ValueError: If it is neither mmdet's nor mmpretrain's.
    """
    scope = cfg.get('default_scope') or 'mmdet'
    if scope not in HOSTS:
        raise ValueError(f'default_scope={scope!r} is not supported; valid: {", ".join(HOSTS)}')
    return scope


def skip_broken_images(value: Any) -> None:
    """Let training skip, with a counted warning, images that do not decode, where the stock loader ends the run.

    Args:
        value: ``train_dataloader`` of a config; every stock ``LoadImageFromFile`` in it is changed in place.
    """
    if isinstance(value, dict):
        if value.get('type') in ('LoadImageFromFile', 'mmdet.LoadImageFromFile') and 'ignore_empty' not in value:
            value['type'] = 'mmcds.LoadImageOrSkip'
        for each in value.values():
            skip_broken_images(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            skip_broken_images(each)


def set_teacher_checkpoint(cfg: Config, checkpoint: str) -> None:
    """Name the teacher's weights in the DistillHook of a config, in place.

    Raises:
        ValueError: If the config has none.
    """
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') == DISTILL_HOOK]
    if not hooks:
        raise ValueError(
            f'--cfg-options teacher_checkpoint={checkpoint}: the config has no teacher; use a config whose '
            'custom_hooks have a mmcds.DistillHook, such as one called ..._cds-distill_...'
        )
    for hook in hooks:
        hook['checkpoint'] = checkpoint


def prepare_config(
    path: str, options: dict[str, Any] | None, cds: bool, check_data: bool, teacher: bool | None = None
) -> Config:
    """Load a config, override its parts, add CDS, and check what can be checked before anything is built.

    Args:
        path (str): As :func:`~mmcds.utils.config.load_config` takes it.
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
    cfg = load_config(path)
    options = dict(options or {})
    if 'data_root' in options:
        set_data_root(cfg, str(options.pop('data_root')))
    if 'teacher_checkpoint' in options:
        set_teacher_checkpoint(cfg, str(options.pop('teacher_checkpoint')))
    # What belongs to the contrast can only be overridden once it is there.
    arguments = {name for builder in NECKS.values() for name in inspect.signature(builder).parameters} - {'neck'}
    prefixes = tuple(sorted(f'model.neck.{name}' for name in arguments))
    late = {key: value for key, value in options.items() if key.startswith(prefixes) or key.startswith('custom_hooks')}
    cfg.merge_from_dict({key: value for key, value in options.items() if key not in late})
    if cds:
        cfg = add_cds(cfg)
    if late and not has_cds(cfg):
        neck_keys = [key for key in late if key.startswith(prefixes)]
        if neck_keys and not any(key.removeprefix('model.neck.') in (cfg.model.get('neck') or {}) for key in neck_keys):
            raise ValueError(f'--cfg-options {neck_keys[0]}: the config has no CDSNeck; add --cds')
    cfg.merge_from_dict(late)
    check_cds(cfg, teacher=check_data if teacher is None else teacher)
    check_labelled_fraction(cfg)
    if check_data:
        check_training_data(cfg)
    return cfg


def without_contrast(cfg: Config) -> Config:
    """What a config is tested as: the stock model, into which a checkpoint with CDS or without is loaded.

    Args:
        cfg (Config): With CDS or without; not changed.

    Returns:
        Config: A changed copy, whose :class:`~mmcds.engine.hooks.StockWeightsHook` refuses another model's checkpoint.
    """
    cfg = remove_cds(cfg)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmcds.StockWeightsHook')]
    return cfg


def check_test_data(cfg: Config) -> None:
    """Look for the data of a classifier's test before its model is built.

    Raises:
        FileNotFoundError: If they are not there: with the official source, the layout and the path looked at.
        ValueError: If the head has another number of classes.
    """
    if host_of(cfg) == 'mmpretrain':
        from mmcds.datasets.check_classification import check_classification

        check_classification(cfg, ['test_dataloader'])


def check_training_data(cfg: Config) -> None:
    """Look at the data of a config before its model is built, and have training skip what is broken.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ValueError, FileNotFoundError: If data are missing or do not fit the model.
    """
    skip_broken_images(cfg.get('train_dataloader'))
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmcds.ResumeCheckHook')]
    if host_of(cfg) == 'mmpretrain':
        from mmcds.datasets.check_classification import check_classification

        check_classification(cfg)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmcds.LabelCheckHook')]
        return
    from mmcds.datasets.check import check_datasets

    for report in check_datasets(cfg):
        report.raise_errors()
        if report.summary():
            print(f'warning: {report.summary()}', file=sys.stderr)
