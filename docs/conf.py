"""Sphinx with MyST: `pip install -r requirements/docs.txt && sphinx-build -W docs docs/_build`."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / 'docs'))

project = 'mmcds'
copyright = 'the mmcds authors, Apache-2.0'
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build']
# The pages behind cost.md, results_detection.md and results_classification.md are linked there, and are no entries of
# the navigation.
suppress_warnings = ['toc.not_included']
html_theme = 'furo'
html_title = 'mmcds'
html_static_path = ['_static']
html_css_files = ['site.css']
myst_enable_extensions = ['dollarmath']
# Links of the form page.md#heading.
myst_heading_anchors = 3
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # the docstrings name the types, with shapes and ranges
napoleon_use_rtype = False
napoleon_use_ivar = True
nitpicky = False


def setup(app: Sphinx) -> None:
    """Make the pages of the reference before Sphinx looks for pages."""
    from reference_pages import write_reference_pages

    write_reference_pages(ROOT / 'docs')
