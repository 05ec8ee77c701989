"""The data loader's second view against pixels and boxes put together by hand."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmengine.logging import MessageHub
from toys import ToyDetector, toy_sample

from mmcds.models import DataloaderView, DenseSampler, TwoViewForward
from mmcds.models.views.dataloader import check_batch_augments

MEAN, STD = [10.0, 20.0, 30.0], [2.0, 4.0, 5.0]


def samples_with_views(size2: tuple[int, int] = (8, 20)) -> list[Any]:
    """Two images; of the first the second view shows row 1 alone, and a box of an image is in its own pixels."""
    samples = [toy_sample([[0, 0, 9, 9], [4, 4, 20, 20]], [5, 6], (32, 30)), toy_sample([], [], (16, 32))]
    for sample, boxes, labels, size in zip(samples, ([[2, 2, 10, 10]], []), ([6], []), ((16, 16), size2), strict=True):
        second = toy_sample(boxes, labels, size)
        second.inputs = torch.arange(3 * size[0] * size[1]).reshape(3, *size).to(torch.uint8)
        second.matched = torch.tensor([1] * len(boxes), dtype=torch.long)
        sample.view2 = second
    return samples


def preprocessor() -> DetDataPreprocessor:
    return DetDataPreprocessor(mean=MEAN, std=STD, bgr_to_rgb=True, pad_size_divisor=8, pad_value=0)


def test_passes_the_preprocessor_and_says_where_things_are() -> None:
    samples = samples_with_views()
    raw = [sample.view2.inputs.float() for sample in samples]
    second, views = DataloaderView()(torch.zeros(2, 3, 32, 32), samples, preprocessor())
    assert second.shape == (2, 3, 16, 24)
    for got, image in zip(second, raw, strict=True):
        h, w = image.shape[1:]
        # Channel c of the model is channel 2 - c of the file.
        for c in range(3):
            torch.testing.assert_close(got[c, :h, :w], (image[2 - c] - MEAN[c]) / STD[c])
        assert (got[:, h:] == 0).all()
        assert (got[:, :, w:] == 0).all()
    assert views.input_sizes == ((32, 32), (16, 24))
    assert views.image_sizes[0].tolist() == [[32, 30], [16, 32]]
    assert views.image_sizes[1].tolist() == [[16, 16], [8, 20]]
    assert [each.tolist() for each in views.boxes[0]] == [[[4, 4, 20, 20]], []]
    assert [each.tolist() for each in views.boxes[1]] == [[[2, 2, 10, 10]], []]
    assert [each.tolist() for each in views.labels] == [[6], []]
    assert views.transforms is None
    assert torch.equal(raw[0], samples[0].view2.inputs.float())


def test_homographies_are_given_where_all_are_recorded() -> None:
    samples = samples_with_views()
    between = [torch.eye(3) * 2, torch.eye(3)]
    samples[0].view2.set_metainfo(dict(between=between[0].numpy()))
    inputs = torch.zeros(2, 3, 32, 32)
    assert DataloaderView()(inputs, samples, preprocessor())[1].transforms is None
    samples[1].view2.set_metainfo(dict(between=between[1].numpy()))
    found = DataloaderView()(inputs, samples, preprocessor())[1].between()
    assert torch.equal(found, torch.stack(between))


def test_a_pipeline_without_a_second_view_is_named() -> None:
    samples = samples_with_views()
    del samples[1].view2
    with pytest.raises(ValueError, match=r"1 of 2 data samples .*type='mmcds\.TwoViews'.*type='PhotometricView'"):
        DataloaderView()(torch.zeros(2, 3, 32, 32), samples, preprocessor())


def test_the_reason_for_no_map_reaches_the_message() -> None:
    samples = samples_with_views()
    samples[0].view2.set_metainfo(dict(unrecorded='TwoViews.second: mmdet.RandomAffine: not known'))
    samples[1].view2.set_metainfo(dict(between=torch.eye(3).numpy()))
    views = DataloaderView()(torch.zeros(2, 3, 32, 32), samples, preprocessor())[1]
    with pytest.raises(ValueError, match=r'^neck\.sampler needs .*, but TwoViews\.second: mmdet\.RandomAffine: .*use'):
        DenseSampler().sample(views)


def test_a_resize_of_the_batch_is_followed() -> None:
    """BatchSyncRandomResize scales view 1, its boxes and its img_shape: the map leads from there to the same places."""
    from mmdet.models.data_preprocessors import BatchSyncRandomResize

    MessageHub.get_instance('resize').update_info('iter', 0)
    resize = BatchSyncRandomResize((320, 640))
    resize._input_size = (64, 96)
    samples = samples_with_views()
    for sample in samples:
        sample.set_metainfo(dict(pad_shape=(32, 32)))
        sample.view2.set_metainfo(dict(between=torch.eye(3).numpy(), first_shape=(*sample.img_shape, 3)))
    before = DataloaderView()(torch.zeros(2, 3, 32, 32), samples, preprocessor())[1]
    assert torch.equal(before.between(), torch.eye(3).expand(2, 3, 3))
    inputs, _ = resize(torch.zeros(2, 3, 32, 32), samples)
    after = DataloaderView()(inputs, samples, preprocessor())[1]
    corner = after.boxes[0][0][0, 2:]
    assert corner.tolist() == [60, 40]
    torch.testing.assert_close((after.between()[0] @ torch.cat([corner, torch.ones(1)]))[:2], torch.tensor([20.0, 20]))


@pytest.mark.parametrize('name', ['Mixup', 'CutMix', 'ResizeMix'])
def test_mixed_batches_are_refused_in_the_first_step(name: str) -> None:
    models = pytest.importorskip('mmpretrain.models')
    mixing = models.ClsDataPreprocessor(
        num_classes=2, batch_augments=dict(augments=[dict(type=name, alpha=1.0)], probs=[0.1])
    )
    with pytest.raises(ValueError, match=rf'batch_augments: {name} changes view 1 .*PhotometricView'):
        DataloaderView()(torch.zeros(2, 3, 32, 32), samples_with_views(), mixing)


def test_other_batch_augmentations_are_refused_and_pads_are_not() -> None:
    check_batch_augments(None)
    check_batch_augments([])
    check_batch_augments([dict(type='BatchFixedSizePad', size=(64, 64)), dict(type='mmdet.BatchResize', scale=(9, 9))])
    for augments, name in (
        ([torch.nn.Dropout()], 'Dropout'),
        ([dict(type='BatchFixedSizePad'), dict(type='my.Warp')], 'Warp'),
        (dict(augments=dict(type='Mixup', alpha=1.0)), 'Mixup'),
        (dict(augments=[torch.nn.Dropout()], probs=1.0), 'Dropout'),
    ):
        with pytest.raises(ValueError, match=rf'^here: {name} changes'):
            check_batch_augments(augments, 'here')


def test_views_of_two_sizes_are_not_joined_in_one_batch() -> None:
    view = dict(type='DataloaderView')
    for concat, size in ((False, (16, 20)), (True, (16, 20)), (True, (32, 32))):
        model = ToyDetector(view=view, concat=concat).train()
        forward = TwoViewForward(model).attach()
        forward.begin_step(seed=0)
        message = (
            r'^neck\.concat=True .* view 1 has \(32, 32\) pixels and view 2 \(16, 20\); set concat=False, or give both'
        )
        with pytest.raises(ValueError, match=message) if concat and size == (16, 20) else nullcontext():
            model(torch.zeros(2, 3, 32, 32), samples_with_views(size), mode='loss')
