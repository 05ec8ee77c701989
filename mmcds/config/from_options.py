"""Makes a full config from its name and the options of a command line."""

import inspect
from typing import Any

from mmengine.config import Config

from mmcds.datasets.labelled_fraction import check_labelled_fraction
from mmcds.models.necks import supervised_model
from mmcds.utils.errors import unknown_name
from mmcds.utils.type_name import type_name

from .add_cds import DISTILL_HOOK, NECKS, add_cds, check_cds, has_cds
from .channels import NotBuiltError
from .load_config import load_config, set_data_root


def config_from_options(path: str, options: dict[str, Any] | None, cds: bool, teacher: bool) -> Config:
    """Load a config, override its fields, add CDS, and check it as far as possible without the data.

    Args:
        path (str): As :func:`~mmcds.config.load_config.load_config` takes it.
        options (dict, optional): From ``--cfg-options``; ``data_root`` reaches all data sets.
        cds (bool): Whether to add CDS.
        teacher (bool): Whether the teacher of a distilled student has to exist.

    Returns:
        Config: Ready for a Runner.

    Raises:
        ValueError, FileNotFoundError: If the config or an option is wrong.
    """
    cfg = load_config(path)
    options = dict(options or {})
    if 'data_root' in options:
        set_data_root(cfg, str(options.pop('data_root')))
    if 'teacher_checkpoint' in options:
        set_teacher_checkpoint(cfg, str(options.pop('teacher_checkpoint')))
    # Options of the contrast can only be applied after CDS is added.
    arguments = {name for builder in NECKS.values() for name in inspect.signature(builder).parameters} - {'neck'}
    necks = ('model.neck.', 'model.detector.neck.')
    prefixes = tuple(sorted(f'{neck}{name}' for neck in necks for name in arguments))
    late = {key: value for key, value in options.items() if key.startswith(prefixes) or key.startswith('custom_hooks')}
    cfg.merge_from_dict({key: value for key, value in options.items() if key not in late})
    if cds:
        try:
            cfg = add_cds(cfg)
        except NotBuiltError as error:
            others = [key for key in options if key.startswith(necks) and key not in late]
            if not others:
                raise
            name = others[0].partition('neck.')[2].partition('.')[0]
            hint = unknown_name(f'--cfg-options {others[0]}: argument of the CDSNeck', name, sorted(arguments))
            raise ValueError(f'{error}; {hint}') from error
    if late and not has_cds(cfg):
        neck_keys = [key for key in late if key.startswith(prefixes)]
        neck = supervised_model(cfg).get('neck') or {}
        if neck_keys and not any(key.rpartition('neck.')[2] in neck for key in neck_keys):
            raise ValueError(f'--cfg-options {neck_keys[0]}: the config has no CDSNeck; add --cds')
    cfg.merge_from_dict(late)
    check_cds(cfg, teacher=teacher)
    check_labelled_fraction(cfg)
    return cfg


def set_teacher_checkpoint(cfg: Config, checkpoint: str) -> None:
    """Name the teacher's weights in the DistillHook of a config, in place.

    Raises:
        ValueError: If the config has none.
    """
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if type_name(hook) == DISTILL_HOOK]
    if not hooks:
        raise ValueError(
            f'--cfg-options teacher_checkpoint={checkpoint}: the config has no teacher; use a config whose '
            'custom_hooks have a mmcds.DistillHook, such as one called ..._cds-distill_...'
        )
    for hook in hooks:
        hook['checkpoint'] = checkpoint
