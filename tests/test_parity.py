"""With the released code's weights, a classifier here gives its logits, embeddings, loss and gradient."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from released import ReleasedNet
from torch import Tensor
from toys import total

from mmcds.models import TwoViewForward
from mmcds.paper.convert import convert_state_dict

mmpretrain = pytest.importorskip('mmpretrain')

LABELS = [0, 1, 0, 2, 1, 9]
CASES = [(depth, cifar) for depth in (18, 50) for cifar in (True, False)]
NAMES = [f'R{depth}-{"cifar" if cifar else "imagenet"}' for depth, cifar in CASES]
MEAN, STD = [125.0, 123.0, 114.0], [52.0, 51.0, 51.0]


def classifier(depth: int, cifar: bool) -> Any:
    """The model that the shipped recipes build, with the second view from the data loader."""
    from mmpretrain.registry import MODELS

    width = 512 if depth == 18 else 2048
    cfg = Config(
        dict(
            type='mmpretrain.ImageClassifier',
            data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=MEAN, std=STD),
            backbone=dict(
                type='mmpretrain.ResNet_CIFAR' if cifar else 'mmpretrain.ResNet',
                depth=depth,
                out_indices=(0, 1, 2, 3),
            ),
            neck=dict(
                type='mmcds.CDSNeck',
                neck=dict(type='mmpretrain.GlobalAveragePooling'),
                channels=dict(backbone=[width // 8, width // 4, width // 2, width]),
                view=dict(type='DataloaderView'),
                sampler=dict(type='ImageSampler'),
                projector=dict(type='SepConvProjector'),
                loss=dict(type='ContrastiveLoss', temperature=0.07),
                loss_weight=0.1 if cifar else 0.5,
                concat=True,
            ),
            head=dict(
                type='mmpretrain.LinearClsHead',
                num_classes=10,
                in_channels=width,
                loss=dict(type='mmpretrain.CrossEntropyLoss'),
            ),
        )
    )
    return MODELS.build(cfg)


def views(side: int) -> tuple[Tensor, Tensor]:
    """Two views of a batch (N, 3, side, side), uint8."""
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randint(256, (2, len(LABELS), 3, side, side), generator=generator, dtype=torch.uint8)
    return first, second


def normalised(images: Tensor) -> Tensor:
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (images.float() - mean) / std


def batch(model: Any, first: Tensor, second: Tensor) -> dict[str, Any]:
    from mmpretrain.structures import DataSample

    samples = []
    for label, image in zip(LABELS, second, strict=True):
        sample = DataSample().set_gt_label(label)
        sample.view2 = DataSample()
        sample.view2.inputs, sample.view2.matched = image, torch.zeros(0, dtype=torch.long)
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=list(first), data_samples=samples), True)


def observe(model: Any) -> dict[str, Tensor]:
    """What the classification layer and the projectors return, kept at their next call."""
    seen: dict[str, Tensor] = {}
    for name, module in {'logits': model.head.fc, **dict(model.neck.cds.projectors.items())}.items():
        module.register_forward_hook(lambda _, __, output, name=name: seen.__setitem__(name, output))
    return seen


@pytest.mark.parametrize(('depth', 'cifar'), CASES, ids=NAMES)
def test_a_training_step_is_the_released_code_s(depth: int, cifar: bool) -> None:
    theirs, ours = ReleasedNet(depth, cifar).train(), classifier(depth, cifar).train()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), 'cds'), strict=True)
    first, second = views(32 if cifar else 64)
    loss, logits, embeddings = theirs.step(normalised(first), normalised(second), torch.tensor(LABELS))
    loss.backward()

    TwoViewForward(ours).attach()
    seen = observe(ours)
    losses = ours(**batch(ours, first, second), mode='loss')
    total(losses).backward()

    torch.testing.assert_close(seen['logits'], logits, rtol=0, atol=1e-5)
    for i, expected in enumerate(embeddings):
        z = F.normalize(seen[f'backbone{i}'], dim=1)
        assert z.shape == (2 * len(LABELS), 512 if depth == 18 else 2048)
        torch.testing.assert_close(z, expected, rtol=0, atol=1e-5)
        # The tolerance means something: the images' embeddings are apart.
        assert torch.pdist(expected).max() > 1e-2
    assert len([key for key in losses if key.startswith('loss_cds_')]) == 4
    torch.testing.assert_close(total(losses), loss, rtol=1e-4, atol=0)
    gradient: Any = theirs.conv1.weight.grad
    assert (ours.backbone.conv1.weight.grad - gradient).abs().max() < 1e-4 * gradient.abs().max()

    # Running statistics are over both views, of the heads as well.
    after = convert_state_dict(ours.state_dict(), 'released')
    for name, value in theirs.named_buffers():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('depth', 'cifar'), CASES, ids=NAMES)
def test_evaluation_is_the_released_code_s(depth: int, cifar: bool) -> None:
    theirs, ours = ReleasedNet(depth, cifar), classifier(depth, cifar).eval()
    first, second = views(32 if cifar else 64)
    # Running statistics of real activations; under others, logits would hardly depend on the image.
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    theirs(normalised(second))
    theirs.eval()
    missing, unexpected = ours.load_state_dict(convert_state_dict(theirs.state_dict(), 'mmpretrain'), strict=False)
    assert not unexpected
    assert all(name.startswith('neck.cds.') for name in missing)
    with torch.no_grad():
        data = batch(ours, first, second)
        logits = ours(data['inputs'], mode='tensor')
        scores = torch.stack([each.pred_score for each in ours(**data, mode='predict')])
        expected, _ = theirs(normalised(first))
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(scores, expected.softmax(1), rtol=0, atol=1e-5)
    assert expected.std(0).max() > 1e-2
