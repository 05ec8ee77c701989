"""What the figures of a matrix show."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.experiments import figure

BARS = [('up', 2.0, 1.0, 3), ('down', -2.0, 1.0, 3), ('not significant', 0.5, 1.0, 3), ('one pair', 5.0, 0.0, 1)]


@pytest.mark.parametrize(('less', 'up', 'down'), [(False, 'green', 'red'), (True, 'red', 'green')])
def test_a_significant_gain_is_green(less: bool, up: str, down: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gain of AP goes up, one of an error down."""
    drawn: list[Any] = []
    monkeypatch.setattr(figure, 'save_figure', lambda made, out: drawn.append(made))
    figure.draw_differences(BARS, 'points', Path('unused.png'), less)
    (panel,) = drawn[0].axes
    colours = [line.lines[0].get_color() for line in reversed(panel.containers)]
    assert colours == [f'tab:{colour}' for colour in (up, down, 'gray', 'gray')]


def test_long_labels_leave_room_for_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(figure, 'save_figure', lambda made, out: drawn.append(made))
    figure.draw_differences([('an arm with a name ' * 5, 2.0, 1.0, 3)], 'difference to the baseline', Path('x.png'))
    drawn[0].canvas.draw()
    (panel,) = drawn[0].axes
    assert panel.get_window_extent().width / drawn[0].dpi > 3
    title = panel.xaxis.label.get_window_extent()
    assert title.x0 >= 0
    assert title.x1 <= drawn[0].bbox.width
