"""Labels of crowded boxes, coloured by a remark and placed without overlap."""

import re
from enum import Enum
from typing import Any

import torch
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from mmdet.visualization import DetLocalVisualizer

from .fonts import use_fonts_for


class Remark(Enum):
    """Remark on a box. The value is appended to the name of its class; when drawn, it is a colour."""

    NONE = ''
    MISSED = ' missed'
    WRONG = ' wrong'
    GAINED = ' gained'
    LOST = ' lost'


#: Letters and ground of a label.
COLOURS = {
    Remark.NONE: ('white', 'black'),
    Remark.MISSED: ('black', 'gold'),
    Remark.WRONG: ('white', 'firebrick'),
    Remark.GAINED: ('black', 'limegreen'),
    Remark.LOST: ('white', 'mediumvioletred'),
}
_GROUND = 3  # pixels: the ground of a label reaches so far over its letters
_COVERED = 0.3  # of a label: more of it under others, and it would be a blot instead of a word


class LabelVisualizer(DetLocalVisualizer):
    """mmdet's visualizer with labels of one size, each where it covers none of those before it.

    A label that finds no such place near its box is left out; its box is drawn all the same.
    """

    def set_image(self, image: Any) -> None:
        """As the parent; a new picture has no labels yet."""
        super().set_image(image)
        self._taken: list[Bbox] = []

    def draw_texts(self, texts: str, positions: torch.Tensor, **kwargs: Any) -> DetLocalVisualizer:
        """Draw one label, which the parent would size by its box and put on the object.

        Args:
            texts (str): 'class', its remark behind it, and ': score' in percent where there is one above 0.
            positions (torch.Tensor): ``(2,)``, x and y of the box's upper left corner, in pixels of the picture.
            **kwargs: The parent's, whose size, colours and alignment are replaced.

        Returns:
            DetLocalVisualizer: Itself.
        """
        # From the right: a class may have a colon in its name.
        name, score = match.groups() if (match := re.fullmatch(r'(.*): ([\d.]+)', texts)) else (texts, '')
        remark = next((each for each in Remark if each.value and name.endswith(each.value)), Remark.NONE)
        letters, ground = COLOURS[remark]
        # A score of zero says that there is none.
        name = name.removesuffix(remark.value) + (f' {float(score):.0f}' if score not in ('', '0.0') else '')
        kwargs.update(
            font_sizes=9,
            colors=letters,
            vertical_alignments='bottom',
            bboxes={'facecolor': ground, 'alpha': 0.8, 'pad': 0.7, 'edgecolor': 'none'},
        )
        super().draw_texts(name, positions, **kwargs)
        use_fonts_for(self.ax_save.texts[-1])
        self._place(self.ax_save.texts[-1])
        return self

    def _place(self, label: Text) -> None:
        """Move a label to the first free place beside its corner, or take it away."""
        extent = label.get_window_extent()
        width, height = extent.width, extent.height
        picture = self.ax_save.get_window_extent().padded(-_GROUND)
        best, covered = None, _COVERED
        # Above the corner, inside the box, and from there to the sides and away from the box.
        for up in (0.0, -1.0, 1.0, -2.0):
            for right in (0.0, -0.5, 0.5, -1.0):
                moved = extent.translated(right * width, up * height)
                # A place half outside would cut the word off.
                moved = moved.translated(
                    min(0, picture.x1 - moved.x1) or max(0, picture.x0 - moved.x0),
                    min(0, picture.y1 - moved.y1) or max(0, picture.y0 - moved.y0),
                )
                share = sum(_overlap(moved, each) for each in self._taken) / (width * height)
                if share < covered:
                    best, covered = moved, share
        if best is None:
            label.remove()
            return
        self._taken.append(best)
        transform = label.get_transform()
        x, y = transform.transform(label.get_position())
        x, y = transform.inverted().transform((x + best.x0 - extent.x0, y + best.y0 - extent.y0))
        label.set_position((float(x), float(y)))


def _overlap(a: Bbox, b: Bbox) -> float:
    common = Bbox.intersection(a, b)
    return common.width * common.height if common else 0.0
