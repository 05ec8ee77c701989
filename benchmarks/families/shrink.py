"""Makes a config small: no downloads, few queries and proposals, few layers of transformers."""

from collections.abc import Callable, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

from mmcds.config.load_config import load_config, model_config
from mmcds.utils.type_name import bare_name

from .inputs import SIZES, sizes_of

#: At most this much of what only costs time. What a config has less of stays.
LIMITS = {
    'num_queries': 20,
    'sos_token_num': 20,
    'num_proposals': 20,
    'max_per_img': 50,
    'nms_pre': 200,
    'num_cp': 0,
}
#: Heads of thousands of classes get this many; those of fewer may come with one weight per class.
CLASSES, MANY_CLASSES = 20, 200
#: Samplers of boxes take this many at most.
SAMPLED = 64
#: Layers of an encoder or decoder.
LAYERS = 2
#: Backbones of equal layers, which get one for each output.
EQUAL_LAYERS = ('BEiT', 'MAE', 'VisionTransformer')
#: Those of them that take images of one size.
FIXED_SIZE = ('BEiT', 'MAE')
#: Batch augmentations of mmyolo that also stack the images or convert them to float.
NEEDED_AUGMENTS = ('PPYOLOEBatchRandomResize', 'YOLOXBatchSyncRandomResize')


def shrink(cfg: Config) -> Config:
    """Make a config's model small enough for one step on a CPU core, and free of downloads.

    What kind of model it is stays: types, necks, heads, losses, normalisation, frozen stages.

    Args:
        cfg (Config): A detector's config, changed in place.

    Returns:
        Config: The same.
    """
    cfg.load_from = None
    cfg.model = model_config(cfg)
    model = cfg.model
    # Only inference has a tracker, and some need an optional package.
    model.pop('tracker', None)
    for change in (_no_download, _toy_size, _single_process, _limits, _samplers, _layers, _backbone):
        _each_dict(model, change)
    if bare_name(model.get('data_preprocessor')) == 'SegDataPreProcessor':
        model.data_preprocessor.update(size=sizes_of(model)[0], size_divisor=None)
    if model.get('backbone', {}).get('type') == 'HourglassNet':
        _hourglass(model)
    return cfg


def _each_dict(value: Any, change: Callable[[dict], None]) -> None:
    """Call ``change`` on every dict in nested dicts and sequences, outermost first."""
    if isinstance(value, dict):
        change(value)
        for each in list(value.values()):
            _each_dict(each, change)
    elif isinstance(value, (list, tuple)):
        for each in value:
            _each_dict(each, change)


def _no_download(part: dict) -> None:
    init = part.get('init_cfg')
    inits = [each for each in (init if isinstance(init, (list, tuple)) else [init]) if isinstance(each, Mapping)]
    rest = [each for each in inits if 'checkpoint' not in each]
    if len(rest) < len(inits):
        part['init_cfg'] = rest or None
    for key in ('pretrained', 'teacher_ckpt'):
        if isinstance(part.get(key), (str, bool)):
            part[key] = False if isinstance(part[key], bool) else None
    if isinstance(part.get('teacher_config'), str):
        # The installed mmdet has its configs elsewhere than its source tree.
        inner = part['teacher_config'].removeprefix('configs/')
        part['teacher_config'] = ConfigDict(model=shrink(load_config(f'mmdet::{inner}')).model)


def _toy_size(part: dict) -> None:
    """Sizes of images and crops."""
    kind = bare_name(part)
    if part.get('batch_augments'):
        # They make every batch as large as in training.
        kept = [each for each in part['batch_augments'] if bare_name(each) in NEEDED_AUGMENTS]
        for each in kept:
            each.update(random_size_range=SIZES[0], interval=1)
        part['batch_augments'] = kept or None
    if isinstance(part.get('crop_size'), (list, tuple)):
        part['crop_size'] = SIZES[0]
    if kind in FIXED_SIZE:
        part['img_size'] = SIZES[0]


def _single_process(part: dict) -> None:
    """What mmengine's revert_sync_batchnorm does, and mmcv's RoIAlign for torchvision's, which a CPU compiles."""
    if part.get('type') in ('SyncBN', 'MMSyncBN', 'NaiveSyncBN'):
        part['type'] = 'BN'
    if part.get('use_torchvision'):
        part['use_torchvision'] = False


def _limits(part: dict) -> None:
    if isinstance(part.get('num_classes'), int) and part['num_classes'] > MANY_CLASSES:
        part['num_classes'] = CLASSES
    for key, limit in LIMITS.items():
        if isinstance(part.get(key), int):
            part[key] = min(part[key], limit)


def _samplers(part: dict) -> None:
    if str(part.get('type')).endswith('Sampler') and isinstance(part.get('num'), int):
        part['num'] = min(part['num'], SAMPLED)


def _layers(part: dict) -> None:
    for key in ('encoder', 'decoder', 'transformer_decoder'):
        each = part.get(key)
        if isinstance(each, dict) and isinstance(each.get('num_layers'), int):
            each['num_layers'] = min(each['num_layers'], LAYERS)


def _backbone(part: dict) -> None:
    """Fewer blocks of the same widths, so that neck and heads still fit."""
    for key, backbone in part.items():
        if not str(key).endswith('backbone') or not isinstance(backbone, dict):
            continue
        kind = bare_name(backbone)
        if isinstance(backbone.get('depth'), int) and backbone['depth'] > 50 and 'Res' in kind:
            backbone['depth'] = 50
        if kind == 'CSPDarknet':
            backbone['deepen_factor'] = min(backbone.get('deepen_factor', 1.0), 0.33)
        if kind in EQUAL_LAYERS:
            indices = backbone.get('out_indices', -1)
            count = max(len(indices), LAYERS) if isinstance(indices, (list, tuple)) else LAYERS
            backbone['num_layers'] = count
            if isinstance(indices, (list, tuple)):
                backbone['out_indices'] = tuple(range(count - len(indices), count))
        if kind == 'TridentResNet':
            # Its own convolution is empty memory until a checkpoint is loaded.
            layers = dict(type='Kaiming', layer=['Conv2d', 'TridentConv'])
            backbone['init_cfg'] = [layers, dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])]


def _hourglass(model: dict) -> None:
    """A quarter of the width, one block per stage."""
    backbone = model['backbone']
    backbone.update(stage_channels=[64, 64, 96, 96, 96, 128], stage_blocks=[1] * 6, feat_channel=64)
    model['bbox_head']['in_channels'] = 64
