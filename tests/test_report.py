"""`cnnspec report`: one file, whole in itself, whose links lead somewhere; and what it does in a browser."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import cnnspec
from browser import PROGRAM as BROWSER
from browser import Browser
from cnnspec import zoo
from cnnspec.drawing.report import report
from cnnspec.timeline import timeline
from door import WARNING, run, write

Capture = pytest.CaptureFixture[str]
VOID = {"meta", "input", "br", "link"}


class Page(HTMLParser):
    """What a page holds; closing tags must match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given[name] or "" for name in ("href", "src", "xlink:href") if name in given]
        assert not [name for name in given if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "yolov3", "hrnet-w18"])
def test_the_file_is_whole_in_itself(name: str) -> None:
    graph = cnnspec.compile(name)
    cost = graph.cost()
    text = report(graph, cost, graph.warnings, None)
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)
    specs = "".join(path.read_text(encoding="utf-8") for path in zoo.folder().glob("*.yaml"))
    written = set(re.findall(r"https://\S+", specs))  # where published weights are
    assert set(re.findall(r"https?://[^\s\"'<)]*", text)) - written <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert sum(bool(re.fullmatch(r"n\d+", key)) for key in page.ids) == len(cost.rows)
    counted = [int(told[1]) for told in map(re.compile(r"(\d+) nodes?(, .* params)?").fullmatch, page.texts) if told]
    assert sum(counted) == len(cost.rows)
    assert "No warnings." in page.texts or graph.warnings


def test_lines_and_nodes_lead_to_each_other() -> None:
    graph = cnnspec.compile("resnet34")
    text = report(graph, graph.cost(), (), None)
    place = list(graph.inference().nodes).index("c3.stage.unit.add")
    (row,) = re.findall(rf'<tr id="n{place}">.*?</tr>', text)
    assert 'data-value="c3.stage.unit.add"' in row
    assert '<a href="#f0l13">13</a>' in row
    (line,) = re.findall(r'<li id="f0l13">.*?</li>', text)
    first = list(graph.nodes).index("c2.stage.unit.add")
    assert line == (
        f'<li id="f0l13"><code>    out:  add(main, skip) -&gt; relu</code><a href="#n{first}">32 nodes</a></li>'
    )


def test_other_files_stand_below(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run(capsys, "report", "yolov3")
    assert (answer.code, answer.out) == (0, "")
    assert re.fullmatch(r"wrote yolov3.html, \d+ kB\n", answer.err)
    text = Path("yolov3.html").read_text(encoding="utf-8")
    assert re.findall(r"<h3>(.*?)</h3>", text) == ["yolov3.yaml", "darknet53.yaml"]
    assert re.search(r'<a href="#f1l\d+">darknet53.yaml:\d+</a>', text)
    again = run(capsys, "report", "yolov3")
    assert (again.code, again.err) == (2, "error: yolov3.html is there already\n  help: --force overwrites it\n")
    data = run(capsys, "report", "yolov3", "--force", "--json").document["data"]
    assert data == {"file": "yolov3.html", "bytes": Path("yolov3.html").stat().st_size}


def test_warnings_and_hostile_texts(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> & \"'"
    quoted = evil.replace("\\", "\\\\").replace('"', '\\"')
    write(tmp_path, WARNING.replace("input:", f'about: "{quoted}"\n# {evil}\ninput:'))
    run(capsys, "report", "./spec.yaml", "-o", "a.html", "--colour", "memory")
    text = Path("a.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert evil in page.texts
    assert f"# {evil}" in page.texts
    assert any("warning[advice.bias]: a bias right before batchnorm is without effect" in text for text in page.texts)


def test_bad_usage(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run(capsys, "report", "lenet5", "-o", "no/a.html")
    assert (answer.code, answer.err) == (2, "error: cannot write no/a.html: there is no folder no\n")


ACTIONS = """
const first = () => document.querySelector("tbody tr:not([hidden])").children[0].textContent;
const said = [];
const head = name => [...document.querySelectorAll("th")].find(th => th.textContent === name);
said.push(document.querySelector("#shown").textContent, first());
head("params").querySelector("button").click(); said.push(first(), head("params").getAttribute("aria-sort"));
head("params").querySelector("button").click(); said.push(head("params").getAttribute("aria-sort"));
head("node").querySelector("button").click(); said.push(first());
const box = [...document.querySelectorAll(".canvas > div:not([hidden]) .node")].find(
  node => node.querySelector("title").textContent === "c1.conv");
box.querySelector("a").dispatchEvent(new MouseEvent("click", {bubbles: true}));
said.push(document.querySelector("#filter").value, document.querySelector("#shown").textContent);
document.querySelector("input[value='1']").click();
said.push([...document.querySelectorAll(".canvas > div:not([hidden])")].map(one => one.dataset.depth).join());
const width = () => document.querySelector(".canvas > div:not([hidden]) svg").getBoundingClientRect().width;
const before = width(); document.querySelector("[data-zoom='1.25']").click();
said.push((width() / before).toFixed(2), String(document.documentElement.scrollWidth <= innerWidth));
document.title = said.join("|");
"""


@pytest.mark.skipif(BROWSER is None, reason="no browser here")
@pytest.mark.parametrize("size", ["1280,900", "500,900"])
def test_in_a_browser(tmp_path: Path, size: str) -> None:
    graph = cnnspec.compile("lenet5")
    text = report(graph, graph.cost(), (), None).replace("</body>", f"<script>{ACTIONS}</script></body>")
    address = Path(write(tmp_path, text, "page.html")).as_uri()
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}")
    command = [str(BROWSER), *flags, f"--window-size={size}", "--dump-dom", address]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(.*?)</title>", page)
    assert found is not None
    assert found[1].split("|") == [
        *("13 of 13 nodes", "image"),
        *("c5.conv", "descending", "ascending"),
        "c1.conv",
        *("c1.conv", "1 of 13 nodes"),
        *("1", "1.25", "true"),
    ]


FOCUS = "document.activeElement"
STYLE = f"(s => s.outlineStyle + s.outlineWidth)(getComputedStyle({FOCUS}))"


def tabbed(browser: Browser, wanted: str, most: int = 60) -> list[str]:
    """Press Tab until the element that the selector names has the focus, which must be seen at every stop."""
    stops = []
    for _ in range(most):
        browser.press("Tab")
        stops.append(str(browser.run(f"{FOCUS}.textContent.trim().slice(0, 20)")))
        assert browser.run(STYLE) not in ("none0px", "none3px"), stops
        if browser.run(f"{FOCUS}.matches({wanted!r})"):
            return stops
    raise AssertionError(f"{wanted} is not reached: {stops}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = cnnspec.compile("resnet18")
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(report(graph, graph.cost(), (), None), encoding="utf-8")
    return path


@pytest.mark.skipif(BROWSER is None, reason="no browser here")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_by_keyboard_alone(tmp_path: Path, page: Path, width: int, dark: bool) -> None:
    with Browser(tmp_path) as browser:
        browser.size(width, 844, dark=dark)
        browser.open(page.as_uri())
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        paper = browser.run("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
        assert tabbed(browser, "input[name=depth]")[:5] == ["Graph", "Cost", "Memory", "Spec", "Diagnostics"]
        shown = "[...document.querySelectorAll('.canvas > div:not([hidden])')].map(one => one.dataset.depth).join()"
        before = browser.run(shown)
        browser.press("ArrowRight")
        opened = browser.run(shown)
        browser.press("ArrowLeft")
        assert (int(opened), browser.run(shown)) == (int(before) + 1, before)
        tabbed(browser, "[data-zoom='1.25']")
        drawn = "document.querySelector('.canvas > div:not([hidden]) svg').getBoundingClientRect().width"
        was = browser.run(drawn)
        browser.press("Enter")
        assert browser.run(drawn) == pytest.approx(1.25 * was)
        browser.run("document.querySelector('#filter').focus()")
        for letter in "fc":
            browser.press(letter)
        assert browser.run("document.querySelector('#shown').textContent").startswith("0 of 69")
        browser.run("document.querySelector('#filter').value = ''")
        tabbed(browser, "th:nth-child(4) button")
        browser.press("Enter")
        assert browser.run("document.querySelector('th:nth-child(4)').ariaSort") == "descending"
        tabbed(browser, ".chart a")
        browser.press("Enter")
        assert browser.run("location.hash").startswith("#n")
        assert browser.run("document.querySelectorAll('.chart rect.peak').length") == 2
        assert browser.errors == []
        assert set(browser.asked) <= {page.as_uri()}


def test_the_timeline_has_the_peaks() -> None:
    graph = cnnspec.compile("googlenet")
    found, live = timeline(graph, batch=2, optimizer="adam"), graph.memory(batch=2, optimizer="adam").live
    assert max(held for _, held in found.inference) == live.inference_peak
    assert next(name for name, held in found.inference if held == live.inference_peak) == live.inference_peak_node
    assert max(held for _, held in found.training) == live.training_peak
    assert [name for name, _ in found.inference] == [*graph.schedule]
    assert [name for name, _ in found.training][-1] == "step"
