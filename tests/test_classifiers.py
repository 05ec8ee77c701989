"""One training step of classifiers of mmpretrain, with `--cds` and nothing else."""

from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmcds import add_cds
from mmcds.config.load_config import load_config, model_config
from mmcds.models import TwoViewForward, find_supervision

mmpretrain = pytest.importorskip('mmpretrain')

#: Config -> how many taps: stages of several resolutions, or the last output of those that have one only.
CONFIGS = {
    'convnext/convnext-tiny_32xb128_in1k.py': 4,
    'deit/deit-tiny_4xb256_in1k.py': 1,
    'densenet/densenet121_4xb256_in1k.py': 4,
    'efficientnet/efficientnet-b0_8xb32_in1k.py': 4,
    'hrnet/hrnet-w18_4xb32_in1k.py': 4,
    'mobilenet_v2/mobilenet-v2_8xb32_in1k.py': 4,
    'mobilevit/mobilevit-small_8xb128_in1k.py': 4,
    'poolformer/poolformer-s12_32xb128_in1k.py': 4,
    'regnet/regnetx-400mf_8xb128_in1k.py': 4,
    'resnet/resnet50_8xb256-rsb-a3-100e_in1k.py': 4,
    'shufflenet_v2/shufflenet-v2-1x_16xb64_in1k.py': 4,
    'swin_transformer/swin-tiny_16xb64_in1k.py': 4,
    'van/van-tiny_8xb128_in1k.py': 4,
    'vgg/vgg11_8xb32_in1k.py': 4,
}
QUICK = ('convnext/convnext-tiny_32xb128_in1k.py', 'mobilenet_v2/mobilenet-v2_8xb32_in1k.py')


@pytest.mark.parametrize(
    'path', [pytest.param(path, marks=[] if path in QUICK else [pytest.mark.slow]) for path in CONFIGS]
)
def test_a_step(path: str) -> None:
    from mmpretrain.structures import DataSample

    cfg = add_cds(load_config(f'mmpretrain::{path}'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model: Any = MODELS.build(model_config(cfg)).train()
    TwoViewForward(model).attach().begin_step(seed=0)
    assert len(find_supervision(model).taps) == CONFIGS[path]
    samples = [DataSample().set_gt_label(i % 2) for i in range(4)]
    images = list(torch.randint(0, 256, (4, 3, 224, 224), dtype=torch.uint8))
    losses = model(**model.data_preprocessor(dict(inputs=images, data_samples=samples), True), mode='loss')
    contrast = {key: value for key, value in losses.items() if 'cds' in key}
    assert len(contrast) == CONFIGS[path]
    assert all(torch.isfinite(value) and value > 0 for value in contrast.values())
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_a_backbone_without_a_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the backbone 'MlpMixer' returns no feature map .*nothing to tap"):
        add_cds(load_config('mmpretrain::mlp_mixer/mlp-mixer-base-p16_64xb64_in1k.py'))
