"""Names in any script: with a font that has the letters, or as codes; never as boxes."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from matplotlib import font_manager
from matplotlib.figure import Figure

from mmcds.analysis.pictures import fonts
from mmcds.analysis.pictures.box_labels import LabelVisualizer
from mmcds.analysis.pictures.save import save_figure

#: Letters that no font of this machine has: of a script that is hardly ever installed.
RARE = '\U00013000\U00013001'


@pytest.fixture
def rare_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A font with the first of the rare letters, a filled square, installed after matplotlib made its list."""
    builder = FontBuilder(100, isTTF=True)
    builder.setupGlyphOrder(['.notdef', 'rare'])
    builder.setupCharacterMap({ord(RARE[0]): 'rare'})
    glyphs = {}
    for name in ('.notdef', 'rare'):
        pen = TTGlyphPen(None)
        for i, point in enumerate(((0, 0), (0, 90), (90, 90), (90, 0))):
            pen.lineTo(point) if i else pen.moveTo(point)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics({'.notdef': (100, 0), 'rare': (100, 0)})
    builder.setupHorizontalHeader(ascent=90, descent=-10)
    builder.setupNameTable({'familyName': 'Rare Sans', 'styleName': 'Regular'})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / 'rare.ttf')
    listed = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', listed)
    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: [str(tmp_path / 'rare.ttf')])
    return 'Rare Sans'


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, '_missed', set())
    fonts._families.cache_clear()
    fonts._has.cache_clear()


def test_a_font_that_has_the_letters_is_used(rare_font: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fonts.fonts_for(f'a {RARE[0]}') == (f'a {RARE[0]}', [rare_font])
    assert capsys.readouterr().err == ''


def test_letters_that_no_font_has_become_codes_and_one_warning(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert fonts.fonts_for(f'a {RARE}') == ('a \\U00013000\\U00013001', [])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f'warning: no installed font has {RARE[0]} {RARE[1]}, ')
    assert 'fonts-noto-core' in lines[0]


@pytest.mark.parametrize('name', ['\u732b', '\ud55c\uae00', '\u306d\u3053'])
def test_the_package_for_chinese_japanese_and_korean(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', [])
    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: [])
    assert fonts.fonts_for(name)[0] == name.encode('ascii', 'backslashreplace').decode()
    assert 'fonts-noto-cjk' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['cat', 'Größe', 'Жук', '\u03b1 \u03b2', ''])
def test_what_the_default_font_has_stays_as_it_is(text: str) -> None:
    assert fonts.fonts_for(text) == (text, [])


def test_figures_are_saved_without_boxes(rare_font: str, tmp_path: Path) -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], label=RARE[0])
    axis.set_title(f'x {RARE}')
    legend = axis.legend()
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # matplotlib warns of a letter that its fonts have not
        save_figure(figure, tmp_path / 'a.png')
    assert axis.get_title() == f'x {RARE[0]}\\U00013001'
    assert legend.get_texts()[0].get_text() == RARE[0]


def test_labels_of_boxes(rare_font: str) -> None:
    visualizer = LabelVisualizer()
    visualizer.set_image(np.zeros((100, 100, 3), np.uint8))
    visualizer.draw_texts(f'{RARE[0]} missed', torch.tensor([50.0, 50]))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        visualizer.get_image()
    (label,) = visualizer.ax_save.texts
    assert label.get_text() == RARE[0]
    assert label.get_fontfamily()[-1] == rare_font
