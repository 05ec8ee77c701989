"""Taps inside the backbone, for classifiers whose backbone returns its last map only."""

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor
from toys import hooks_of

from mmcds import add_cds, remove_cds
from mmcds.config.channels import probe_stages
from mmcds.models import TwoViewForward
from mmcds.models.taps import resolve_taps
from mmcds.utils.tree import as_map

mmpretrain = pytest.importorskip('mmpretrain')

RESNET = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)
CONVNEXT = dict(type='ConvNeXt', arch=dict(depths=[1, 1, 2, 1], channels=[8, 16, 24, 32]))
SWIN = dict(
    type='SwinTransformer',
    arch=dict(embed_dims=12, depths=[1, 1, 1, 1], num_heads=[1, 2, 3, 4]),
    img_size=64,
    window_size=2,
    drop_path_rate=0.0,  # the passes that are compared would not drop the same
)
#: Backbone, width of its output, tapped modules with their widths.
MODELS_OF: dict[str, tuple[dict[str, Any], int, dict[str, int]]] = {
    'resnet': (RESNET, 64, {'layer1': 8, 'layer2': 16, 'layer3': 32, 'layer4': 64}),
    'convnext': (CONVNEXT, 32, {'stages.0': 8, 'stages.1': 16, 'stages.2': 24, 'stages.3': 32}),
    'swin': (SWIN, 96, {'stages.0': 12, 'stages.1': 24, 'stages.2': 48, 'stages.3': 96}),
}


def config(name: str) -> Config:
    backbone, width, _ = MODELS_OF[name]
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3, num_classes=3),
                backbone=dict(backbone),
                neck=dict(type='GlobalAveragePooling') if name != 'convnext' else None,
                head=dict(type='LinearClsHead', num_classes=3, in_channels=width),
            ),
        )
    )


def build(cfg: Config) -> Any:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(0)
        return MODELS.build(cfg.model).train()


def batch(model: Any, side: int = 64) -> dict[str, Any]:
    from mmpretrain.structures import DataSample

    images = torch.randint(256, (4, 3, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(label) for label in (0, 1, 0, 2)]
    return model.data_preprocessor(dict(inputs=list(images), data_samples=samples), True)


@pytest.mark.parametrize('name', MODELS_OF)
def test_the_stages_are_found(name: str) -> None:
    backbone, _, modules = MODELS_OF[name]
    if name == 'swin':  # its size is fixed when it is built
        backbone = {**backbone, 'img_size': 224, 'window_size': 7}
    expected = {f'backbone.{path}': width for path, width in modules.items()}
    assert probe_stages(dict(backbone=backbone)) == expected
    assert list(probe_stages(dict(backbone=backbone))) == list(expected)


@pytest.mark.parametrize(
    ('backbone', 'expected'),
    [
        # A block of the next resolution begins with a layer of this one, which is not the stage.
        (dict(type='MobileNetV3', arch='large'), {'layer3': 24, 'layer6': 40, 'layer12': 112, 'layer16': 960}),
        (dict(type='InceptionV3'), {'Conv2d_4a_3x3': 192, 'Mixed_5d': 288, 'Mixed_6e': 768, 'Mixed_7c': 2048}),
        # Called with images of its own size only.
        (dict(SWIN, img_size=96, window_size=3), {'stages.0': 12, 'stages.1': 24, 'stages.2': 48, 'stages.3': 96}),
    ],
    ids=['mobilenet_v3', 'inception_v3', 'swin of 96 pixels'],
)
def test_stages_are_no_parts_of_blocks(backbone: dict[str, Any], expected: dict[str, int]) -> None:
    state = torch.get_rng_state()
    assert probe_stages(dict(backbone=backbone)) == {f'backbone.{path}': width for path, width in expected.items()}
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('concat', [True, False])
@pytest.mark.parametrize('name', MODELS_OF)
def test_what_is_tapped_is_what_the_modules_return(name: str, concat: bool) -> None:
    """Both views' maps are those of the stock backbone's modules, and the stock's keys are all there are beside."""
    cfg, (_, _, modules) = config(name), MODELS_OF[name]
    channels = dict(backbone=[MODELS_OF[name][1]], modules={f'backbone.{k}': v for k, v in modules.items()})
    cds_cfg = add_cds(cfg, channels=channels, concat=concat)
    assert remove_cds(cds_cfg).model.to_dict() == cfg.model.to_dict()
    stock, cds = build(cfg), build(cds_cfg)
    missing, unexpected = stock.load_state_dict(cds.state_dict(), strict=False)
    assert not missing
    assert all(key.startswith('neck.cds.') for key in unexpected)
    forward = TwoViewForward(cds).attach()
    forward.begin_step(seed=3)
    seen: list[Any] = []
    losses_of = cds.neck.cds.losses

    def spy(features: Any, views: Any) -> Any:
        seen.append(features)
        return losses_of(features, views)

    cds.neck.cds.losses = spy
    data = batch(cds)
    losses = cds(**data, mode='loss')
    keys = [f'loss_cds_backbone_{path.replace(".", "_")}' for path in modules]
    assert [key for key in losses if 'cds' in key] == keys
    assert all(losses[key] > 0 for key in keys)

    torch.manual_seed(3)
    second, _ = cds.neck.cds.view(data['inputs'], data['data_samples'], cds.data_preprocessor)
    found: dict[str, Tensor] = {}
    for path in modules:
        stock.backbone.get_submodule(path).register_forward_hook(
            lambda _module, _args, output, path=path: found.update({path: as_map(output)})
        )
    both = [data['inputs'], second]
    for part, inputs in enumerate([torch.cat(both)] * 2 if concat else both):
        stock.backbone(inputs)
        for path in modules:
            expected = found[path].chunk(2)[part] if concat else found[path]
            view = seen[0].second if part else seen[0].first
            torch.testing.assert_close(as_map(view['module'][f'backbone.{path}']), expected)
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert [key for key, p in cds.named_parameters() if p.grad is None] == []


def test_a_detector_s_taps_stay_outputs() -> None:
    taps = resolve_taps(None, None, dict(backbone=[4, 8]))
    assert [tap.name for tap in taps] == ['backbone.0', 'backbone.1']
    mixed = resolve_taps(['backbone.a.b', 'backbone.1'], None, dict(backbone=[4, 8], modules={'backbone.a.b': 6}))
    assert [(tap.key, tap.channels, tap.steps) for tap in mixed] == [('backbone_a_b', 6, 0), ('backbone1', 8, 0)]


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"^neck\.taps='backbone\.layer9' is not known; .*channels=dict\(modules="):
        resolve_taps(['backbone.layer9'], None, dict(backbone=[4], modules={'backbone.layer1': 4}))
    cfg = add_cds(config('resnet'))
    before = hooks_of(build(cfg))
    cfg.model.neck.channels.modules = {'backbone.layr1': 8}
    model = build(cfg)
    with pytest.raises(
        ValueError, match=r"^neck\.taps='backbone\.layr1' is not known; nearest: backbone\.layer1"
    ) as found:
        TwoViewForward(model).attach()
    # A backbone has hundreds of modules.
    assert len(str(found.value)) < 1200
    assert hooks_of(model) == before
    cfg.model.neck.channels.modules = {'backbone.layer1': 9}
    model = build(cfg)
    TwoViewForward(model).attach()
    with pytest.raises(ValueError, match=r'expected a feature map \(N, 9, h, w\).*set channels=dict\(modules='):
        model(**batch(model), mode='loss')


def test_tokens_become_a_map() -> None:
    tokens = torch.arange(24.0).view(1, 6, 4)
    found = as_map((tokens, (2, 3)))
    assert found.shape == (1, 4, 2, 3)
    assert torch.equal(found[0, :, 1, 2], tokens[0, 5])
    assert as_map((tokens, (2, 2)))[0] is tokens
    assert as_map(tokens) is tokens


def test_a_teacher_is_refused_where_it_is_built() -> None:
    with pytest.raises(
        ValueError, match=r"^neck\.taps=\['backbone\.layer1', .*\] with distill: .*taps=\['backbone\.0', "
    ):
        add_cds(config('resnet'), distill=dict(channels=64))
    assert add_cds(config('resnet'), distill=dict(channels=64), taps=['backbone.0']).model.neck.distill


def test_the_steps_to_the_last_stage_do_not_depend_on_which_stages_are_tapped() -> None:
    widths = MODELS_OF['resnet'][2]
    channels = dict(backbone=[0, 64], modules={f'backbone.{name}': width for name, width in widths.items()})
    for names in (['layer1', 'layer2'], ['layer2', 'layer1'], ['layer4', 'layer3', 'layer2', 'layer1'], ['layer3']):
        taps = resolve_taps([f'backbone.{name}' for name in names], None, channels)
        assert [tap.steps for tap in taps] == [4 - int(name[-1]) for name in names]
    cfg = add_cds(config('resnet'), taps=['backbone.layer1', 'backbone.layer2'])
    projectors = build(cfg).neck.cds.projectors
    # The paper's heads: each later stage doubles the channels.
    assert [projector.out_channels for projector in projectors.values()] == [64, 64]
