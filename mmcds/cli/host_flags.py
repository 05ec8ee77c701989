"""Applies the flags of the host packages' train.py and test.py to a config, and builds the runner."""

from argparse import Namespace
from copy import deepcopy
from typing import Any

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.registry import METRICS, RUNNERS
from mmengine.runner import Runner

from .prepare import DETECTORS, host_of


def set_train_flags(cfg: Config, args: Namespace, resumed: str | None) -> None:
    """Change a config as the train.py of its package does.

    Args:
        cfg (Config): Changed in place.
        args (Namespace): Of tools/train.py.
        resumed (str, optional): The checkpoint to resume. With None, ``load_from`` stays.

    Raises:
        ValueError: If the config does not train.
    """
    host = _start(cfg, args)
    _need(cfg, 'train_dataloader', 'train_cfg', 'optim_wrapper')
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        if host != 'mmpretrain':
            cfg.optim_wrapper.loss_scale = 'dynamic'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if resumed:
        cfg.resume, cfg.load_from = True, resumed
    changes = {'pin_memory': False} if args.no_pin_memory else {}
    changes |= {'persistent_workers': False} if args.no_persistent_workers else {}
    for split in ('train', 'val', 'test'):
        _set_loader(cfg, split, {'persistent_workers': True}, changes)


def set_test_flags(cfg: Config, args: Namespace) -> None:
    """Change a config as the test.py of its package does.

    Args:
        cfg (Config): Changed in place.
        args (Namespace): Of tools/test.py.

    Raises:
        ValueError: If the config does not test, or pictures are wanted of one without a hook that draws them.
    """
    host = _start(cfg, args)
    _need(cfg, 'test_dataloader', 'test_cfg', 'test_evaluator')
    cfg.load_from = args.checkpoint
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir:
        hook = (cfg.get('default_hooks') or {}).get('visualization')
        if hook is None:
            raise ValueError(
                '--show and --show-dir need the hook that draws; set default_hooks.visualization as the configs of '
                f'{host} do'
            )
        if host == 'mmpretrain':
            interval = args.interval or 1
            hook.update(enable=True, show=args.show, wait_time=args.wait_time, out_dir=args.show_dir, interval=interval)
        else:
            hook.draw = True
            hook.update({'show': True, 'wait_time': args.wait_time} if args.show else {})
            hook.update({'interval': args.interval} if args.interval else {})
            if args.show_dir and host in DETECTORS:
                hook.test_out_dir = args.show_dir
            elif args.show_dir:
                cfg.visualizer.save_dir = args.show_dir
    if args.tta:
        _augment(cfg, host)
    _set_loader(cfg, 'test', {}, {'pin_memory': False} if args.no_pin_memory else {})


def build_runner(cfg: Config) -> Runner:
    """MMEngine's Runner, or the one that the config's ``runner_type`` names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def run_test(runner: Runner, out: str | None, item: str | None) -> None:
    """Run the test.

    Args:
        runner (Runner): Built.
        out (str, optional): A pickle file to write.
        item (str, optional): 'metrics' or 'pred', what to write. With None, the predictions.
    """
    if out and item != 'metrics':
        kind = 'mmdet.DumpDetResults' if host_of(runner.cfg) in DETECTORS else 'DumpResults'
        dump = dict(type=kind, out_file_path=out)
        runner.test_evaluator.metrics.append(METRICS.build(dump))
    metrics = runner.test()
    if out and item == 'metrics':
        mmengine.dump(metrics, out)


def _start(cfg: Config, args: Namespace) -> str:
    """Setup that the host tools share. Returns the name of the host package."""
    host = host_of(cfg)
    if host in DETECTORS:
        from mmdet.utils import setup_cache_size_limit_of_dynamo

        setup_cache_size_limit_of_dynamo()
    cfg.launcher = args.launcher
    return host


def _need(cfg: Config, *keys: str) -> None:
    """Raise if the config lacks a part that its loop needs."""
    missing = [key for key in keys if cfg.get(key) is None]
    if missing:
        raise ValueError(f'{missing[0]} is not set in the config; give one with {", ".join(keys)}')


def _set_loader(cfg: Config, split: str, defaults: dict[str, Any], changes: dict[str, Any]) -> None:
    """Apply mmpretrain's defaults to a data loader of mmpretrain, then the changes by flags."""
    key = f'{split}_dataloader'
    if cfg.get(key) is None:
        return
    if host_of(cfg) == 'mmpretrain':
        loader = ConfigDict(pin_memory=True, collate_fn=dict(type='default_collate'), **defaults)
        loader.update(cfg[key])
        cfg[key] = loader
    cfg[key].update(changes)


def _augment(cfg: Config, host: str) -> None:
    """Set up test-time augmentation: the config's, or flipped images if it has none."""
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing and host not in ('mmdet', 'mmpretrain'):
        raise ValueError(f'--tta: the config has no {" and no ".join(missing)}; give one of {host} that has them')
    if 'tta_model' not in cfg:
        nms = dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
        merged = dict(type='DetTTAModel', tta_cfg=nms)
        cfg.tta_model = merged if host == 'mmdet' else dict(type='mmpretrain.AverageClsScoreTTA')
    if 'tta_pipeline' not in cfg:
        data = cfg.test_dataloader.dataset
        while 'dataset' in data:
            data = data['dataset']
        pack = data.pipeline[-1]
        if host == 'mmdet':
            shown = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
            pack = dict(type='PackDetInputs', meta_keys=shown)
        flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
        cfg.tta_pipeline = deepcopy(data.pipeline)
        cfg.tta_pipeline[-1] = dict(type='TestTimeAug', transforms=[flips, [pack]])
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    if host == 'mmyolo':
        # It sorts the images by shape and pads them to it, which test-time augmentation does in its own way.
        cfg.test_dataloader.dataset.batch_shapes_cfg = None
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
