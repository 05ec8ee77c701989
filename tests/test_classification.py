"""A classifier with the paper's recipe against the released code's step written out: mmpretrain, labels, SepConv."""

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope
from toys import released_form, total

from mmcds import add_cds
from mmcds.models import TwoViewForward

mmpretrain = pytest.importorskip('mmpretrain')

LABELS = [0, 1, 0, 2, 1]


def config() -> Config:
    backbone = dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4, out_indices=(0, 1, 2, 3))
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True, num_classes=3),
                backbone=backbone,
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=3, in_channels=32),
            ),
        )
    )


def build(cfg: Config) -> Any:
    from mmpretrain.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(0)
        model = MODELS.build(deepcopy(cfg.model))
        model.init_weights()
    return model.train()


def batch(model: Any) -> dict[str, Any]:
    from mmpretrain.structures import DataSample

    images = torch.randint(256, (len(LABELS), 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(label) for label in LABELS]
    return model.data_preprocessor(dict(inputs=list(images), data_samples=samples), True)


def test_a_step_is_the_released_code_s() -> None:
    """Both views as one batch through backbone and heads (and their BatchNorm), SupCon, 0.1, task on view 1."""
    stock, cds = build(config()), build(add_cds(config()))
    stock.load_state_dict(cds.state_dict(), strict=False)
    heads = deepcopy(cds.neck.cds.projectors)
    forward = TwoViewForward(cds).attach()
    forward.begin_step(seed=5)
    data = batch(cds)
    losses = cds(**data, mode='loss')

    torch.manual_seed(5)
    second, _ = cds.neck.cds.view(data['inputs'], data['data_samples'], cds.data_preprocessor)
    outputs = stock.backbone(torch.cat([data['inputs'], second]))
    assert [each.shape[1] for each in outputs] == [4, 8, 16, 32]
    logits = stock.head.fc(outputs[-1][: len(LABELS)].mean((2, 3)))
    torch.testing.assert_close(losses['loss'], F.cross_entropy(logits, torch.tensor(LABELS)))
    for i, output in enumerate(outputs):
        z = F.normalize(heads[f'backbone{i}'](output), dim=1)
        assert z.shape == (2 * len(LABELS), 32)
        expected = released_form(torch.stack(z.chunk(2), dim=1), torch.tensor(LABELS)) * 0.1
        torch.testing.assert_close(losses[f'loss_cds_backbone{i}'], expected, rtol=1e-4, atol=1e-5)
        # The running statistics of the heads, too, are those of the released code's one pass.
        for name, value in heads[f'backbone{i}'].named_buffers():
            torch.testing.assert_close(cds.neck.cds.projectors[f'backbone{i}'].get_buffer(name), value)

    total(losses).backward()
    without = [name for name, p in cds.named_parameters() if p.grad is None]
    assert without == []


def test_evaluation_is_the_stock_s() -> None:
    stock, cds = build(config()), build(add_cds(config()))
    stock.load_state_dict(cds.state_dict(), strict=False)
    scores = []
    for model in (stock.eval(), cds.eval()):
        with torch.no_grad():
            scores.append(torch.stack([each.pred_score for each in model(**batch(model), mode='predict')]))
    assert torch.equal(*scores)
    assert scores[0].std() > 0
