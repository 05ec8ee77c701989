"""Labels: coloured by their remark, inside the picture, and none upon another."""

from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from mmcds.analysis.pictures.box_labels import COLOURS, LabelVisualizer, Remark


@pytest.fixture
def visualizer() -> LabelVisualizer:
    made = LabelVisualizer()
    made.set_image(np.zeros((200, 300, 3), np.uint8))
    return made


def labels(visualizer: LabelVisualizer) -> list[Text]:
    return list(visualizer.ax_save.texts)


@pytest.mark.parametrize('remark', list(Remark))
def test_a_remark_is_a_colour(remark: Remark, visualizer: LabelVisualizer) -> None:
    visualizer.draw_texts(f'cat{remark.value}: 41.6', torch.tensor([50.0, 100]))
    (label,) = labels(visualizer)
    patch = label.get_bbox_patch()
    assert label.get_text() == 'cat 42'
    assert patch is not None
    assert patch.get_facecolor()[:3] == to_rgba(COLOURS[remark][1])[:3]


def test_no_score_is_written_where_there_is_none(visualizer: LabelVisualizer) -> None:
    visualizer.draw_texts('cat: 0.0', torch.tensor([50.0, 100]))
    visualizer.draw_texts('dog missed', torch.tensor([50.0, 150]))
    assert [label.get_text() for label in labels(visualizer)] == ['cat', 'dog']


def test_a_colon_in_a_class_name(visualizer: LabelVisualizer) -> None:
    visualizer.draw_texts('bird: small: 41.6', torch.tensor([50.0, 100]))
    visualizer.draw_texts('bird: big', torch.tensor([50.0, 150]))
    assert [label.get_text() for label in labels(visualizer)] == ['bird: small 42', 'bird: big']


def test_labels_do_not_lie_on_each_other_and_the_first_stays_at_its_corner(visualizer: LabelVisualizer) -> None:
    places = torch.rand(12, 2, generator=torch.Generator().manual_seed(0)) * 60 + 100
    for index, place in enumerate(places):
        visualizer.draw_texts(f'cat: {90 - index}.0', place)
    shown = labels(visualizer)
    assert shown[0].get_position() == pytest.approx(tuple(places[0].tolist()), abs=0.5)
    assert len(shown) >= 6
    boxes = [label.get_window_extent() for label in shown]
    for a, b in combinations(boxes, 2):
        common = Bbox.intersection(a, b)
        assert common is None or common.width * common.height <= 0.3 * a.width * a.height


def test_without_room_a_label_is_left_out(visualizer: LabelVisualizer) -> None:
    for _ in range(60):
        visualizer.draw_texts('cat: 50.0', torch.tensor([150.0, 100]))
    assert 4 <= len(labels(visualizer)) < 30
    visualizer.set_image(np.zeros((200, 300, 3), np.uint8))
    visualizer.draw_texts('cat: 50.0', torch.tensor([150.0, 100]))
    assert len(labels(visualizer)) == 1, 'a new picture has room again'


@pytest.mark.parametrize('corner', [(0.0, 0.0), (299.0, 0.0), (0.0, 199.0), (299.0, 199.0)])
def test_a_label_at_the_border_is_whole(corner: tuple[float, float], visualizer: LabelVisualizer) -> None:
    visualizer.draw_texts('platypus: 50.0', torch.tensor(corner))
    (label,) = labels(visualizer)
    box, picture = label.get_window_extent(), visualizer.ax_save.get_window_extent()
    assert picture.x0 < box.x0 < box.x1 < picture.x1
    assert picture.y0 < box.y0 < box.y1 < picture.y1
