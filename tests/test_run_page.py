"""The page on a run: whole in itself, true to the run's files, and what it does in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from browser import PROGRAM as BROWSER
from cnnspec import runs
from cnnspec.diagnostics import RunError
from cnnspec.drawing.lines import Line, svg, ticks
from cnnspec.drawing.run_page import page
from door import run, write
from heads import each
from heads import here as here
from test_report import Page

Capture = pytest.CaptureFixture[str]
RESULTS = {"two": ["Results of place", "Worst of place", "Results of logits", "Worst of logits"]}
"""The images held out are two, so that none are best."""


def text_of(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def whole(text: str) -> Page:
    """A page that is whole in itself."""
    found = Page(text.replace("<img ", "<link ").replace("<wbr>", ""))
    assert len(found.ids) == len(set(found.ids))
    inner = [link for link in found.links if link.startswith("#")]
    assert {link.removeprefix("#") for link in inner} <= set(found.ids)
    assert all(link.startswith(("#", "data:image/")) for link in found.links)
    assert set(re.findall(r"https?://[^\s\"'<)]*", text)) <= {"http://www.w3.org/2000/svg"}
    return found


@each
def test_every_run_has_a_page(capsys: Capture, here: str) -> None:
    text = text_of("run/report.html")
    found = whole(text)
    headings = ["Figures", "Curves", *RESULTS.get(here, ["Results", "Worst"]), "Training samples", "Made of"]
    assert re.findall(r"<h2>(.*?)</h2>", text) == headings
    metrics = run(capsys, "evaluate", "run", "--json").document["data"]["metrics"]
    for name, value in metrics.items():
        (row,) = re.findall(rf'<tr><th scope="row">{name}</th><td class="right">(.*?)</td>', text)
        assert row == f"{value:.2%}"
    assert "cnnspec evaluate run" in found.texts
    assert text.count('class="plotted"') == 4
    rows = runs.read(Path("run")).rows
    assert f"epoch 2, training: {rows[1]['loss']:.4g}" in found.texts
    assert found.texts.count(text_of("run/recipe.yaml")) == 1
    pictures = [link for link in found.links if link.startswith("data:")]
    number = {"classes": 3, "box": 3, "boxes": 5, "masks": 5, "two": 5}[here]
    assert len(pictures) == number  # two images held out, with truth and answer apart in boxes and masks; the samples
    for link in pictures:
        with Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))) as image:
            image.load()


@pytest.mark.parametrize("here", ["masks"], indirect=True)
def test_report_writes_it_anew(capsys: Capture, here: str) -> None:
    before = text_of("run/report.html")
    answer = run(capsys, "report", "run")
    text = "error: run/report.html is there already\n  help: --force overwrites it\n"
    assert (answer.code, answer.err) == (2, text)
    answer = run(capsys, "report", "run", "-o", "page.html")
    assert (answer.code, answer.out) == (0, "")
    assert re.fullmatch(r"wrote page.html, [\d.]+ kB\n", answer.err)
    assert text_of("page.html") == before
    data = run(capsys, "report", "run", "--force", "--json").document["data"]
    assert data == {"file": "run/report.html", "bytes": len(before.encode())}
    answer = run(capsys, "report", "run", "--set", "a=1")
    assert (answer.code, answer.err) == (2, "error: --set is for a spec; run is a run\n")


@pytest.mark.parametrize("here", ["classes"], indirect=True)
def test_without_its_data_it_says_so(capsys: Capture, here: str) -> None:
    shutil.rmtree("d")
    answer = run(capsys, "report", "run", "--force")
    assert answer.code == 0
    note = "the network was not judged: there is no folder d/"
    assert answer.err.splitlines()[1] == f"warning: {note}"
    text = text_of("run/report.html")
    whole(text)
    assert f"<p>{note.capitalize()}</p>" in text
    end = json.loads(text_of("run/events.jsonl").splitlines()[-1])
    assert f'<th scope="row">top1</th><td class="right">{end["test"]["top1"]:.2%}</td>' in text
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["Figures", "Curves", "Training samples", "Made of"]


def test_what_is_no_run_is_named(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    answer = run(capsys, "report", "a/")
    assert (answer.code, answer.err) == (3, "error: a is no run folder: there is no spec.yaml in it\n")


BROKEN = [
    ("metrics.csv", "epoch,loss\n1,x\n", "a/metrics.csv:2 is damaged: numbers under epoch, loss are due"),
    ("metrics.csv", "epoch,loss\n1\n", "a/metrics.csv:2 is damaged: numbers under epoch, loss are due"),
    ("events.jsonl", "[1]\n", "a/events.jsonl is damaged: an object is due, not '[1]'"),
    ("environment.json", "{", "a/environment.json is damaged: Expecting property name enclosed in double quotes: "),
    ("recipe.yaml", b"\xff", "cannot read a/recipe.yaml: 'utf-8' codec can't decode byte 0xff in position 0: "),
]


@pytest.mark.parametrize(("file", "content", "text"), BROKEN)
def test_damaged_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str | bytes, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "cnnspec: 1\n", "a/spec.yaml")
    Path("a", file).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(RunError) as caught:
        runs.read(Path("a"))
    assert caught.value.message.startswith(text)


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    write(tmp_path, evil, "a/spec.yaml")
    begin = {"event": "begin", "spec": evil, "data": evil}
    write(tmp_path, json.dumps(begin), "a/events.jsonl")
    write(tmp_path, json.dumps({"device": evil}), "a/environment.json")
    text = page(runs.read(tmp_path / "a"), None, (), evil)
    found = whole(text)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert found.texts.count(evil) == 4
    assert "No epoch has ended." in found.texts


TICKS: list[tuple[list[float], bool, list[float]]] = [
    ([0.03, 2.3], False, [0, 0.5, 1, 1.5, 2, 2.5]),
    ([0.94, 0.99], True, [0.94, 0.95, 0.96, 0.97, 0.98, 0.99]),
    ([0.0, 1e-6], True, [0, 0.002, 0.004, 0.006, 0.008, 0.01]),
    ([0.2, 1.0], True, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ([1e-4, 4e-3], False, [0, 0.001, 0.002, 0.003, 0.004]),
    ([5.0], False, [4.4, 4.6, 4.8, 5, 5.2, 5.4, 5.6]),
    ([0.0, 0.0], True, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
    ([], False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
]


@pytest.mark.parametrize(("values", "part", "steps"), TICKS)
def test_ticks_are_round_and_hold_all(values: list[float], part: bool, steps: list[float]) -> None:
    assert ticks(values, part) == pytest.approx(steps)


@pytest.mark.parametrize("number", [1, 2, 30, 500])
def test_charts_hold_any_number_of_epochs(number: int) -> None:
    values = [1 / epoch for epoch in range(1, number + 1)]
    text = svg("<loss>", [Line("a", values), Line("b", [float("nan"), *values[1:]])], best=number)
    Page(text)
    lines: Any = re.findall(r'<polyline class="line" points="([^"]*)"', text)
    assert [len(line.split()) for line in lines] == [number, number - 1]
    assert text.count("<circle") == (2 * number - 1 if number <= 120 else 0)


ACTIONS = """
const said = [];
const first = () => document.querySelector(".sorted tbody tr").cells[0].textContent;
const head = name => [...document.querySelectorAll(".sorted th")].find(th => th.textContent === name);
said.push(first());
head("class").querySelector("button").click(); said.push(first(), head("class").getAttribute("aria-sort"));
head("class").querySelector("button").click(); said.push(first(), head("class").getAttribute("aria-sort"));
said.push([...document.images].every(one => one.complete && one.naturalWidth > 0));
said.push(document.documentElement.scrollWidth <= innerWidth);
document.title = said.join("|");
"""


@pytest.mark.skipif(BROWSER is None, reason="no browser here")
@pytest.mark.parametrize("size", ["1280,900", "500,900"])
@pytest.mark.parametrize("here", ["boxes"], indirect=True)
def test_in_a_browser(tmp_path: Path, here: str, size: str) -> None:
    text = text_of("run/report.html").replace("</body>", f"<script>{ACTIONS}</script></body>")
    address = Path(write(tmp_path, text, "page.html")).as_uri()
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}")
    command = [str(BROWSER), *flags, f"--window-size={size}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(.*?)</title>", done)
    assert found is not None
    assert found[1].split("|") == ["ant", "ant", "ascending", "cat", "descending", "true", "true"]
