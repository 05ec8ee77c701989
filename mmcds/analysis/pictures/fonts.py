"""Fonts for names in any script, so that no letter is drawn as a box."""

import sys
import unicodedata
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

#: Has a box with a letter's code for every letter there is.
_LAST_RESORT = 'Last Resort'
_CJK = ('CJK', 'HIRAGANA', 'KATAKANA', 'HANGUL', 'BOPOMOFO', 'IDEOGRAPHIC', 'FULLWIDTH')
_missed: set[str] = set()


def use_fonts(figure: Figure) -> None:
    """Let every text of a figure be drawn with fonts that have its letters.

    Args:
        figure (Figure): Changed in place. A letter that no installed font has becomes its code (``\\u732b``); one
            warning says which package to install.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            use_fonts_for(text)


def use_fonts_for(text: Text) -> None:
    """Apply :func:`use_fonts` to one text."""
    drawable, families = fonts_for(text.get_text(), text.get_fontproperties())
    if drawable != text.get_text():
        text.set_text(drawable)
    if families:
        text.set_fontfamily([*text.get_fontfamily(), *families])


def fonts_for(text: str, properties: FontProperties | None = None) -> tuple[str, list[str]]:
    """Text to draw and fonts to draw it with.

    Args:
        text (str): In any script.
        properties (FontProperties, optional): Of the text. Defaults to None: matplotlib's default font.

    Returns:
        tuple[str, list[str]]: The text, with the codes of the letters that no installed font has; and the families that
            have to stand behind the text's own one, none where that has all letters.
    """
    if text.isascii():
        return text, []
    # One family at a time: findfont takes the first that is installed, drawing looks through all of them.
    own = properties or FontProperties()
    needed = {char for char in text if not char.isspace() and unicodedata.category(char) != 'Cc'}
    for family in own.get_family():
        single = own.copy()
        single.set_family(family)
        needed -= _has(font_manager.findfont(single), frozenset(needed))
    families, lacking = _families(frozenset(needed))
    if lacking - _missed:
        _missed.update(lacking)
        cjk = any(unicodedata.name(char, '').startswith(_CJK) for char in lacking)
        print(
            f'warning: no installed font has {" ".join(sorted(lacking)[:8])}, which figures show as codes; install '
            f'one, such as the package {"fonts-noto-cjk" if cjk else "fonts-noto-core"} of Debian and Ubuntu',
            file=sys.stderr,
        )
    codes = {ord(char): char.encode('ascii', 'backslashreplace').decode() for char in lacking}
    return text.translate(codes), list(families)


@lru_cache
def _families(needed: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Installed families that together have the letters, as few as possible, and the letters that none has."""
    families: list[str] = []
    if not needed:
        return (), needed
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:  # installed after matplotlib wrote its list
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError, UnicodeDecodeError):
                continue  # not a font that matplotlib can draw with
    entries = [each for each in font_manager.fontManager.ttflist if _LAST_RESORT not in each.name]
    # Upright and plain before the rest, sans before serifs.
    entries.sort(key=lambda each: (each.style != 'normal', each.weight not in (400, 'normal'), 'Sans' not in each.name))
    while needed:
        found = {each.name: _has(each.fname, needed) for each in reversed(entries)}
        best = max((each.name for each in entries), key=lambda name: len(found[name]), default=None)
        if best is None or not found[best]:
            break
        families.append(best)
        needed -= found[best]
    return tuple(families), needed


@lru_cache(maxsize=4096)
def _has(path: str, chars: frozenset[str]) -> frozenset[str]:
    """The letters for which a font file has a glyph."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(char for char in chars if font.get_char_index(ord(char)))
