"""The report against the logs it is made of, and that it is one page that loads nothing."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmcds.analysis.runs.report import ReportedRun, load_run, write_report


def make_run(folder: Path, ap: float, seconds: float, weight: float) -> Path:
    data = folder / '20260101_000000' / 'vis_data'
    data.mkdir(parents=True)
    train = [
        dict(lr=0.1, epoch=1 + i // 2, iter=i + 1, step=i + 1, time=seconds, loss=4.0 - i, loss_cds_a=weight)
        for i in range(4)
    ]
    val = [
        {
            'coco/bbox_mAP': ap - 0.1 * (2 - e),
            'coco/cat & dog_precision': ap,
            'coco/truck/bus_precision': ap,
            'time': 9.0,  # seconds of an evaluation's step
            'step': e,
        }
        for e in (1, 2)
    ]
    (data / 'scalars.json').write_text('\n'.join(map(json.dumps, [*train, *val])) + '\n')
    (data / 'config.py').write_text(f"model = dict(type='A', weight={weight})\nrandomness = dict(seed=3)\n")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[ReportedRun]:
    paths = [make_run(tmp_path / 'stock', 0.5, 0.2, 0.0), make_run(tmp_path / 'cds', 0.55, 0.3, 0.1)]
    return [load_run(path) for path in paths]


class Page(HTMLParser):
    """Rows of tables, headings, and every tag that was opened and not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attributes if name in ('src', 'href') and value]
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if 'td' in self.open or 'th' in self.open:
            self.rows[-1][-1] += data


def test_a_comparison(runs: list[ReportedRun], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'cds/detections.png'), np.zeros((4, 4, 3), np.uint8))
    text = write_report(runs, tmp_path / 'out/report.html', 'A <title>').read_text()
    page = Page(text)
    assert page.open == []
    assert '<h1>A &lt;title&gt;</h1>' in text
    found = {row[0]: row[1:] for row in page.rows if row}
    assert found['coco/bbox_mAP'] == ['0.500', '0.550 (+0.050)']
    assert found['cat & dog'] == found['truck/bus'] == ['0.500', '0.550 (+0.050)']
    assert found['seconds of a step, median'] == ['0.200', '0.300 (1.50 x)']
    assert found['seed'] == ['3', '3']
    assert found['evaluated after'] == ['2 epochs', '2 epochs']
    assert 'class="minus">-model = dict(type=&#x27;A&#x27;, weight=0.0)' in text
    assert 'class="plus">+model = dict(type=&#x27;A&#x27;, weight=0.1)' in text
    # Everything is inside: pictures as data, curves as SVG, nothing from anywhere else.
    assert [link for link in page.links if not link.startswith(('data:', '#'))] == []
    assert any(link.startswith('data:image/png;base64,') for link in page.links)
    assert '<svg' in text
    assert 'loss_cds_a' in text
    assert not re.search(r'<script|@import|url\(http', text)


def test_less_is_better_for_some_and_what_there_is_not_has_no_difference(tmp_path: Path) -> None:
    runs = []
    for name, ece, large in (('a', 3.0, -1.0), ('b', 9.0, 0.3)):
        make_run(tmp_path / name, 0.5, 0.2, 0.0)
        log = tmp_path / name / '20260101_000000/vis_data/scalars.json'
        log.write_text(
            log.read_text() + json.dumps({'calibration/ece': ece, 'coco/bbox_mAP_l': large, 'step': 2}) + '\n'
        )
        runs.append(load_run(tmp_path / name))
    text = write_report(runs, tmp_path / 'report.html').read_text()
    assert '9.000 <span class="down">(+6.000)</span>' in text
    found = {row[0]: row[1:] for row in Page(text).rows if row}
    assert found['coco/bbox_mAP_l'] == ['no such objects', '0.300']


def test_one_run(runs: list[ReportedRun], tmp_path: Path) -> None:
    text = write_report(runs[:1], tmp_path / 'report.html').read_text()
    assert Page(text).open == []
    assert 'weight=0.0' in text
    assert '(+' not in text


def test_what_is_refused(runs: list[ReportedRun], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^--out='report.pdf' is no HTML file"):
        write_report(runs, 'report.pdf')
    with pytest.raises(FileNotFoundError, match='does not exist'):
        load_run(tmp_path / 'none')


BROWSER = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')


@pytest.mark.skipif(BROWSER is None, reason='no Chromium')
def test_in_a_real_browser(runs: list[ReportedRun], tmp_path: Path) -> None:
    """It renders without a word on the console, as wide as the window, with every picture decoded."""
    cv2.imwrite(str(tmp_path / 'cds/detections.png'), np.zeros((4, 2000, 3), np.uint8))
    page = write_report(runs, tmp_path / 'report.html')
    # What the page itself has to be free of, the test may add: sizes as the browser sees them.
    probe = tmp_path / 'probe.html'
    script = (
        '<script>addEventListener("load", () => { document.title = JSON.stringify({'
        'wide: document.documentElement.scrollWidth <= innerWidth, '
        'pictures: [...document.images].every(i => i.naturalWidth > 0), '
        'rows: document.querySelectorAll("tr").length, curves: document.querySelectorAll("svg").length}) })</script>'
    )
    probe.write_text(page.read_text().replace('</body>', f'{script}</body>'))
    assert BROWSER is not None
    options = ['--headless', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr', '--window-size=1000,900']
    command = [BROWSER, *options, f'--user-data-dir={tmp_path}/profile', '--dump-dom', probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert 'CONSOLE' not in done.stderr
    title = re.search(r'<title>(.*?)</title>', done.stdout)
    assert title is not None
    found = json.loads(html.unescape(title[1]))
    assert found == {'wide': True, 'pictures': True, 'rows': page.read_text().count('<tr>'), 'curves': 1}
