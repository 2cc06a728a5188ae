"""`cnnspec plot`: the scene, its DOT and Mermaid texts, and the pictures that Graphviz makes of them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import cnnspec
from cnnspec.drawing.colour import FAMILIES, MEASURES, PLAIN, SHARES, of_share
from cnnspec.drawing.dot import dot
from cnnspec.drawing.mermaid import mermaid
from cnnspec.drawing.render import render
from cnnspec.drawing.scene import BOXES, Cluster, Scene, scene_of
from cnnspec.front import compile_text
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent
HOSTILE = 'a"b\\<b>&amp;</b>]; --> `x` #quot; \n end \u202e<script>alert(1)</script>'


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY)
    return "spec.yaml"


def scene(name: str, depth: int | None = None, measure: str = "kind") -> Scene:
    graph = cnnspec.compile(name)
    return scene_of(graph, graph.cost(), depth=depth, measure=MEASURES.get(measure))


def pairs(drawn: Scene, under: str) -> list[str]:
    """The edges at one cluster, without its path."""
    edges = [edge for edge in drawn.edges if f"{edge.source} {edge.target}".count(under)]
    return [f"{e.source.removeprefix(under)} -> {e.target.removeprefix(under)} [{e.label}]" for e in edges]


MERMAID = """\
---
title: "tiny: image 1×8×12  ·  1.43 k parameters  ·  8.8 k MACs"
---
flowchart TD
  n0(["image"])
  subgraph g1 ["c1"]
    n1["conv(8, 3, 2)"]
    n2["relu"]
  end
  subgraph g2 ["c2"]
    n3["conv(16, 3, 2, bias=false)"]
    n4["batchnorm"]
  end
  subgraph g3 ["logits"]
    n5["global_avgpool"]
    n6["dense(10)"]
  end
  n7(["logits"])
  n0 -->|"1×8×12"| n1
  n1 -->|"8×4×6"| n2
  n2 -->|"8×4×6"| n3
  n3 -->|"16×2×3"| n4
  n4 -->|"16×2×3"| n5
  n5 -->|"16"| n6
  n6 -->|"10"| n7
  classDef p0 fill:#ffffff,stroke:#8a96a3,color:#1f2933
  classDef p1 fill:#d6e6fa,stroke:#6f9ed6,color:#1f2933
  classDef p2 fill:#fdeed6,stroke:#dcae62,color:#1f2933
  classDef p3 fill:#eef1f4,stroke:#a9b4c0,color:#1f2933
  classDef p4 fill:#dcf0e1,stroke:#7fb98f,color:#1f2933
  classDef p5 fill:#e3dcf6,stroke:#9a86d0,color:#1f2933
  class n0,n7 p0
  class n1,n3 p1
  class n2 p2
  class n4 p3
  class n5 p4
  class n6 p5
  style g1 fill:#f5f7fa,stroke:#cfd6de,color:#5b6773
  style g2 fill:#f5f7fa,stroke:#cfd6de,color:#5b6773
  style g3 fill:#f5f7fa,stroke:#cfd6de,color:#5b6773
"""


def test_mermaid(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "plot", tiny, "--format", "mermaid")
    assert (answer.code, answer.out, answer.err) == (0, MERMAID, "")
    legend = run(capsys, "plot", tiny, "--format", "mermaid", "--colour", "macs", "--across").out.splitlines()
    assert legend[3] == "flowchart LR"
    assert '    n1["conv(8, 3, 2)<br/>1.73 k MACs (19.6 %)"]' in legend
    assert '  subgraph legend ["share of the MACs"]' in legend
    assert '    l5["30 % to 100 %"]' in legend


def test_dot(capsys: Capture, tiny: str) -> None:
    lines = run(capsys, "plot", tiny).out.splitlines()
    assert lines[0] == 'digraph "tiny" {'
    assert lines[-9:-7] == [
        '  "output logits" [label=<<b>logits</b>>, fillcolor="#ffffff", color="#8a96a3", fontcolor="#1f2933", '
        'tooltip="output logits", style="rounded,filled", shape=box, margin="0.2,0.05", penwidth=1.6];',
        '  "image" -> "c1.conv" [label=< 1×8×12 >];',
    ]
    start = lines.index('  subgraph "cluster c2" {')
    assert lines[start : start + 6] == [
        '  subgraph "cluster c2" {',
        '    label=<<b>c2</b>>; labeljust=l; fontsize=11; fontcolor="#5b6773";',
        '    style="rounded,filled"; fillcolor="#f5f7fa"; color="#cfd6de"; margin=10;',
        '    "c2.conv" [label=<conv(16, 3, 2, bias=false)>, fillcolor="#d6e6fa", color="#6f9ed6", fontcolor="#1f2933", '
        'tooltip="c2.conv: conv(16, 3, 2, bias=false); 1,152 parameters, 6,912 MACs, 384 B"];',
        '    "c2.batchnorm" [label=<batchnorm>, fillcolor="#eef1f4", color="#a9b4c0", fontcolor="#1f2933", '
        'tooltip="c2.batchnorm: batchnorm; 32 parameters, 0 MACs, 384 B"];',
        "  }",
    ]


def test_repeats_are_drawn_once() -> None:
    drawn = scene("resnet34", 3)
    assert pairs(drawn, "c4.stage.unit_2.") == [
        "c4.stage.unit.relu -> main [256×14×14]",
        "main -> add [256×14×14]",
        "c4.stage.unit.relu -> add []",
        "add -> relu [256×14×14]",
        "relu -> c5.stage.unit.main [256×14×14]",
        "relu -> c5.stage.unit.skip.conv_bn []",
    ]
    stage = next(item for item in drawn.items if isinstance(item, Cluster) and item.id == "c4.stage")
    assert [item.title for item in stage.items if isinstance(item, Cluster)] == ["unit", "5 × unit"]
    lines = {box.id: box.lines for box in drawn.boxes}
    assert lines["c4.stage.unit_2.main"] == ("5 × main", "conv_bn, relu, conv_bn")
    assert lines["c4.stage.unit_2.add"] == ("5 × add",)
    assert lines["c3.stage.unit.skip.conv_bn"] == ("skip", "conv, batchnorm")


def test_a_run_alone_in_its_entry_is_opened_too() -> None:
    text = "cnnspec: 1\nname: run\ninput: {image: [N, 3, 8, 8]}\nblocks:\n  unit: x -> conv(3, 3) -> relu\n"
    graph = compile_text(f"{text}net:\n  y: image -> 3 * unit\noutputs: [y]\n")
    drawn = scene_of(graph, graph.cost(), depth=None, measure=None)
    assert [box.lines for box in drawn.boxes] == [("image",), ("3 × conv(3, 3)",), ("3 × relu",), ("y",)]
    assert [(edge.source, edge.target) for edge in drawn.edges] == [
        ("image", "y.unit.conv"),
        ("y.unit.conv", "y.unit.relu"),
        ("y.unit.relu", "output y"),
    ]


def test_a_closed_block_says_what_is_in_it_and_what_goes_out() -> None:
    drawn = scene("hrnet-w18", 1)
    edges = {(edge.source, edge.target): edge.label for edge in drawn.edges}
    assert edges["m2.exchange3", "m3.exchange3"] == "18×56×56, 36×28×28, 72×14×14"
    assert edges["m1.exchange2", "t3"] == "36×28×28"
    lines = {box.id: box.lines for box in drawn.boxes}
    assert lines["c5"] == ("c5", "3 × merge")
    assert lines["stem"] == ("stem", "2 × (conv_bn, relu), 4 × unit")


@pytest.mark.parametrize("name", ["lenet5-1998", "googlenet", "resnet152", "densenet121", "yolov3", "fcn8s"])
def test_every_node_and_edge_is_drawn(name: str) -> None:
    graph = cnnspec.compile(name).inference()
    whole = scene_of(graph, graph.cost(), depth=0, measure=None)
    assert {box.id for box in whole.boxes} == {*graph.nodes, *(f"output {output.name}" for output in graph.outputs)}
    joined = {(source, path) for path, node in graph.nodes.items() for source in node.inputs}
    joined |= {(output.node, f"output {output.name}") for output in graph.outputs}
    assert {(edge.source, edge.target) for edge in whole.edges} == joined
    for depth in (None, 1, 2, 3):
        drawn = scene_of(graph, graph.cost(), depth=depth, measure=None)
        ids = {box.id for box in drawn.boxes}
        assert len(ids) == len(drawn.boxes)
        assert ids == {end for edge in drawn.edges for end in (edge.source, edge.target)}
        assert depth is not None or len(ids) <= BOXES + len(graph.outputs)


def test_colours_by_share() -> None:
    assert [of_share(share) for share in (0.01, 0.011, 0.3, 0.31, 1.0)] == [
        SHARES[0][1],
        SHARES[1][1],
        *(SHARES[3][1], SHARES[4][1], SHARES[4][1]),
    ]
    drawn = {box.id: box for box in scene("lenet5", None, "params").boxes}
    assert (drawn["c5.conv"].lines[1], drawn["c5.conv"].paint) == ("48.1 k parameters (78.0 %)", SHARES[4][1])
    assert (drawn["c1.tanh"].lines, drawn["c1.tanh"].paint) == (("tanh",), PLAIN)
    kinds = {box.id: box.paint for box in scene("lenet5").boxes}
    assert (kinds["c5.conv"], kinds["s2.avgpool"]) == (FAMILIES["conv"], FAMILIES["pool"])
    memory = [box.lines[-1] for box in scene("lenet5", 1, "memory").boxes]
    assert memory[1:3] == ["37.6 kB (59.7 %)", "4.7 kB (7.5 %)"]


@pytest.mark.parametrize("paint", [*FAMILIES.values(), *(paint for _, paint in SHARES), PLAIN])
def test_texts_can_be_read_on_every_colour(paint: object) -> None:
    assert isinstance(paint, type(PLAIN))
    light, dark = sorted((_luminance(paint.fill), _luminance(paint.ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_hostile_texts_stay_texts() -> None:
    graph = replace(cnnspec.compile("lenet5"), name=HOSTILE)
    drawn = scene_of(graph, graph.cost(), depth=1, measure=None)
    svg = render(dot(drawn), "svg").decode()
    assert "<script" not in svg
    shown = 'a"b\\<b>&amp;</b>]; --> `x` #quot;   end \\u202e<script>alert(1)</script>'
    assert shown in texts(svg)
    evil = replace(drawn.boxes[1], id=HOSTILE, lines=(HOSTILE,), tip=HOSTILE)
    again = replace(drawn, items=(evil,), edges=())
    assert shown in texts(render(dot(again), "svg").decode())
    (line,) = [line for line in mermaid(again).splitlines() if line.startswith("  n0")]
    assert re.fullmatch(r'  n0\["[^"<>`&\\]*"\]', line)
    assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), line)[6:-2] == shown


def texts(svg: str, tag: str = "text") -> list[str]:
    found = ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    return ["".join(element.itertext()).replace("\xa0", " ").strip() for element in found]


def test_svg(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "plot", tiny, "-o", "a.svg", "--depth", "1")
    assert (answer.code, answer.out, answer.err) == (0, "", "wrote a.svg, 5 boxes at --depth 1\n")
    svg = Path("a.svg").read_text(encoding="utf-8")
    said = texts(svg)
    assert said[:2] == ["tiny", "image 1×8×12  ·  1.43 k parameters  ·  8.8 k MACs"]
    assert {"c1", "conv, relu", "8×4×6", "logits", "global_avgpool, dense"} <= set(said)
    assert texts(svg, "title") == [
        "tiny",
        "image",
        "c1",
        "image->c1",
        "c2",
        "c1->c2",
        "logits",
        "c2->logits",
        "output logits",
        "logits->output logits",
    ]


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [("png", b"\x89PNG\r\n"), ("pdf", b"%PDF-1"), ("gv", b'digraph "tiny"'), ("mmd", b"---\ntitle")],
)
def test_files(capsys: Capture, tiny: str, suffix: str, magic: bytes) -> None:
    name = f"a.{suffix}"
    document = run(capsys, "plot", tiny, "-o", name, "--json").document
    assert document["data"]["boxes"] == 8
    assert (document["data"]["file"], document["data"]["edges"], document["data"]["depth"]) == (name, 7, 2)
    assert Path(name).read_bytes().startswith(magic)
    again = run(capsys, "plot", tiny, "-o", name)
    assert (again.code, again.err) == (2, f"error: {name} is there already\n  help: --force overwrites it\n")
    assert (
        run(capsys, "plot", tiny, "-o", name, "--force", "--depth", "all").err
        == f"wrote {name}, 8 boxes at --depth all\n"
    )


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("-o", "a.jpg"), "plot knows no format '.jpg'\n  help: one of .svg .png .pdf .dot .gv .mmd, or --format\n"),
        (("-o", "a.png", "--format", "svg"), "--format svg and the suffix of a.png differ\n"),
        (("--format", "pdf"), "--format pdf wants -o FILE.pdf\n"),
        (("-o", "-"), "-o wants a file; without it --format dot, mermaid or svg goes to stdout\n"),
        (("-o", "no/a.svg"), "cannot write no/a.svg: there is no folder no\n"),
        (("--depth", "none"), "--depth wants a number of levels, at least 1, or all, got 'none'\n"),
    ],
)
def test_bad_usage(capsys: Capture, tiny: str, args: tuple[str, ...], text: str) -> None:
    answer = run(capsys, "plot", tiny, *args)
    assert (answer.code, answer.out, answer.err) == (2, "", f"error: {text}")
    assert [path.name for path in Path().iterdir()] == ["spec.yaml"]


def test_too_many_boxes_for_a_picture(capsys: Capture, tmp_path: Path) -> None:
    path = write(
        tmp_path, "cnnspec: 1\nname: long\ninput: {x: [N, 3, 8, 8]}\nnet:\n  y: x -> 3 * (900 * relu)\noutputs: [y]\n"
    )
    answer = run(capsys, "plot", path, "--format", "svg", "--depth", "all")
    assert (answer.code, answer.err) == (
        2,
        "error: 2702 boxes are too many for a picture, the limit is 2000\n  help: --depth closes blocks\n",
    )
    assert run(capsys, "plot", path, "--format", "svg").out.count(">2700 × relu</text>") == 1


def test_stderr_is_there_again(capfd: pytest.CaptureFixture[str]) -> None:
    render("digraph {a}", "svg")
    os.write(2, b"here")
    assert capfd.readouterr().err == "here"


def test_the_picture_of_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert "cnnspec plot lenet5 -o plot-lenet5.svg --depth 1 --across --colour macs\n" in page
    fresh = render(dot(scene("lenet5", 1, "macs"), across=True), "svg").decode()
    kept = (ROOT / "docs/plot-lenet5.svg").read_text(encoding="utf-8")
    assert texts(kept) == texts(fresh), "write docs/plot-lenet5.svg anew by the page's command"
