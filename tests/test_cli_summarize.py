"""`cnnspec summarize`: the data and the table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import cnnspec
from cnnspec.commands.common import bytes_text, count, scaled
from cnnspec.commands.compare import change
from cnnspec.commands.rows import COLUMNS
from cnnspec.commands.table import fitting
from cnnspec.memory import Figures
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY)
    return "spec.yaml"


def test_the_document(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "summarize", tiny, "--json")
    document, data = answer.document, answer.document["data"]
    assert (answer.code, document["schema"], document["ok"], document["diagnostics"]) == (
        0,
        "cnnspec/summarize@1",
        True,
        [],
    )
    assert data["name"] == "tiny"
    assert data["inputs"] == {"image": [1, 1, 8, 12]}
    assert data["outputs"] == {"logits": [1, 10], "extra": [1, 5]}
    assert data["params"] == {"total": 1434, "trainable": 1434, "training_total": 1479}
    assert (data["buffers"], data["macs"]) == (32, 8800)
    assert data["memory"]["live"]["weights"] == data["weights_bytes"]
    assert data["nodes"][4] == {
        "path": "c2.batchnorm",
        "op": "batchnorm",
        "inputs": ["c2.conv"],
        "shape": [1, 16, 2, 3],
        "params": 32,
        "buffers": 32,
        "macs": 0,
        "other": 192,
        "activation_bytes": 384,
        "receptive_field": [7, 7],
        "stride": [4, 4],
        "centre": [0, 0],
        "line": 9,
        "seconds": None,
    }


TABLE = """\
tiny: A small network

node                   operator        shape     params    MACs  other  bytes   sees  line
image                  input           1x1x8x12       -       -      -  384 B    1x1     4
c1.conv                conv            1x8x4x6       80  1.73 k    192  768 B    3x3     8
c1.relu                relu            1x8x4x6        -       -    192  768 B    3x3     8
c2.conv                conv            1x16x2x3   1,152  6.91 k      -  384 B    7x7     9
c2.batchnorm           batchnorm       1x16x2x3      32       -    192  384 B    7x7     9
logits.global_avgpool  global_avgpool  1x16           -       -     96   64 B  11x15    10
logits.dense           dense           1x10         170     160     10   40 B  11x15    10

sizes             batch 1, h=2, w=3, float32
outputs           logits, extra (training only)
parameters        1,434
in training       1,479, 45 for training-only outputs
buffers           32
MACs              8,800
other arithmetic  682
weights           5.86 kB (5,864 bytes)
activations       2.41 kB (2,408 bytes) for all nodes together
two layers        1.54 kB (1,536 bytes): the largest inputs and output of one node, c1.relu
inference peak    live: 1.15 kB (1,152 bytes) above the weights, at c2.conv
                  with backend (torch, cpu): 2.88 kB (2,880 bytes), at c2.conv
training peak     live: 20.2 kB (20,244 bytes) with momentum, all in, at backward of c2.conv
                  with backend (torch, cpu): 22 kB (21,980 bytes), at backward of c2.conv
"""


def test_the_table(capsys: Capture, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnspec_torch.memory.instruction_set", lambda: "AVX2")
    answer = run(capsys, "summarize", tiny)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == TABLE


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_figures_with_backend_are_of_a_device(capsys: Capture, device: str) -> None:
    data = run(capsys, "summarize", "alexnet", "--device", device, "--json").document["data"]["memory"]
    due = cnnspec.compile("alexnet").memory(device=device)
    assert (due.device, due.with_backend) == (device, Figures(**data["with_backend"]["torch"]))
    assert (data["machine"]["device"], Figures(**data["live"])) == (device, due.live)
    said = run(capsys, "summarize", "alexnet", "--device", device).out.splitlines()[-4:]
    assert due.with_backend is not None
    for line, name, figures in zip(
        said, ("live: ", f"with backend (torch, {device}): ") * 2, (due.live, due.with_backend) * 2, strict=True
    ):
        peak = figures.inference_peak if line in said[:2] else figures.training_peak
        assert line[18:].startswith(name)
        assert f"({peak:,} bytes)" in line


def test_threads_are_told(capsys: Capture, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    for told, due in (("1", 1), (" 12 ", 12), ("0", 3), ("4,2", 3), ("many", 3), ("", 3), (None, 3)):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if told is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", told)
        machine = run(capsys, "summarize", tiny, "--json").document["data"]["memory"]["machine"]
        assert (machine["threads"], machine["processors"]) == (due, os.cpu_count())


def test_sizes_batch_and_dtype(capsys: Capture, tiny: str) -> None:
    args = ("--at", "h=4,w=6", "--batch", "8", "--dtype", "bfloat16", "--json")
    data = run(capsys, "summarize", tiny, *args).document["data"]
    assert data["inputs"] == {"image": [8, 1, 16, 24]}
    assert (data["batch"], data["dtype"], data["symbols"]) == (8, "bfloat16", {"N": 8, "h": 4, "w": 6})
    assert data["macs"] == 8 * (4 * 8640 + 160)
    assert data["weights_bytes"] == 2 * 1466


def test_another_input(capsys: Capture, tiny: str) -> None:
    data = run(capsys, "summarize", tiny, "--input", "image=N,3,20,28", "--json").document["data"]
    assert data["inputs"] == {"image": [1, 3, 20, 28]}
    assert data["params"]["total"] == 1434 + 2 * 72


def test_another_param(capsys: Capture, tiny: str) -> None:
    assert run(capsys, "summarize", tiny, "--set", "classes=3", "--json").document["data"]["outputs"]["logits"] == [
        1,
        3,
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--at", "h=0"), "h = 0 is too small"),
        (("--at", "z=1"), "'z' is no symbol of tiny"),
        (("--dtype", "int4"), "unknown dtype 'int4'"),
        (("--batch", "0"), "invalid value for '--batch'"),
        (("--device", "cude"), "error: unknown device 'cude'\n  help: did you mean 'cuda'?\n"),
        (("--device", "tpu0"), "error: unknown device 'tpu0'\n  help: one of cpu, cuda, t4, v100, "),
        (
            ("--device", "cuda", "--amp", "bfloat16"),
            "error: mixed precision is told as autocast has it on the CPU, not on cuda\n"
            "  help: leave out one of --amp and --device\n",
        ),
        (
            ("--device", "t4", "--amp", "bfloat16"),
            "error: mixed precision is told as autocast has it on the CPU, not on t4\n"
            "  help: leave out one of --amp and --device\n",
        ),
        (("--input", "picture=N,3,8,8"), "picture"),
    ],
)
def test_bad_sizes_are_bad_usage(capsys: Capture, tiny: str, args: tuple[str, ...], words: str) -> None:
    answer = run(capsys, "summarize", tiny, *args)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err


TREE = """\
node               operator               params    MACs
image              input                       -       -
stem               conv_bn, relu, maxpool  9,536   118 M
  conv_bn          conv, batchnorm         9,536   118 M
  relu             relu                        -       -
  maxpool          maxpool                     -       -
c2.stage           3 x unit              215,808   668 M
  unit             main, skip, add, relu  75,008   231 M
  unit_2 .. unit_3  2 x (main, add, relu)  140,800   437 M
c3.stage           8 x unit            2,339,840   1.9 G
  unit             main, skip, add, relu  379,392   373 M
  unit_2 .. unit_8  7 x (main, add, relu)  1,960,448  1.53 G
c4.stage           36 x unit          40,613,888  8.02 G
  unit             main, skip, add, relu  1,512,448   373 M
  unit_2 .. unit_36  35 x (main, add, relu)  39,101,440  7.64 G
c5.stage           3 x unit           14,964,736   809 M
  unit             main, skip, add, relu  6,039,552   373 M
  unit_2 .. unit_3  2 x (main, add, relu)  8,925,184   437 M
logits             global_avgpool, dense  2,049,000  2.05 M
  global_avgpool   global_avgpool             -       -
  dense            dense              2,049,000  2.05 M

nodes  514, here at --depth 2; --depth all has a line for each
"""


def test_a_deep_network_is_a_tree(capsys: Capture) -> None:
    shown = run(capsys, "summarize", "resnet152", "--columns", "path,op,params,MACs").out
    assert _squeezed(shown).startswith("resnet152: ")
    assert _squeezed(shown).split("\n\n", 1)[1].startswith(_squeezed(TREE))
    assert "\n  unit_2 .. unit_36  35 x (main, add, relu)  " in shown


def _squeezed(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def test_the_tree_opens(capsys: Capture) -> None:
    entries = run(capsys, "summarize", "resnet152", "--depth", "1", "--columns", "path,op").out.splitlines()[3:10]
    assert [line.split(maxsplit=1) for line in entries] == [
        ["image", "input"],
        ["stem", "conv_bn, relu, maxpool"],
        ["c2", "3 x unit"],
        ["c3", "8 x unit"],
        ["c4", "36 x unit"],
        ["c5", "3 x unit"],
        ["logits", "global_avgpool, dense"],
    ]
    deep = run(capsys, "summarize", "resnet34", "--depth", "3", "--columns", "path,op,macs").out.splitlines()
    assert deep[10:16] == [
        "c2.stage            3 x unit                       694 M",
        "  unit .. unit_3    3 x (main, add, relu)          694 M",
        "    main            3 x (conv_bn, relu, conv_bn)   694 M",
        "    add             3 x add                            -",
        "    relu            3 x relu                           -",
        "c3.stage            4 x unit                       873 M",
    ]
    flat = run(capsys, "summarize", "resnet152", "--depth", "all").out.splitlines()
    assert len(flat) == 2 + 1 + 515 + 1 + 13
    assert flat[-11:] == run(capsys, "summarize", "resnet152").out.splitlines()[-11:]
    assert flat[5].split()[:4] == ["stem.conv_bn.batchnorm", "batchnorm", "1x64x112x112", "128"]


def test_columns_sorted_as_values(capsys: Capture, tiny: str) -> None:
    shown = run(capsys, "summarize", tiny, "--csv", "--columns", "path,inputs,params", "--sort", "params")
    assert (shown.code, shown.err) == (0, "")
    assert (
        shown.out
        == """\
path,inputs,params
c2.conv,c1.relu,1152
logits.dense,logits.global_avgpool,170
c1.conv,image,80
c2.batchnorm,c2.conv,32
image,,0
c1.relu,c1.conv,0
logits.global_avgpool,c2.batchnorm,0
"""
    )
    everything = run(capsys, "summarize", tiny, "--csv").out.splitlines()
    assert everything[0] == "path,op,inputs,shape,params,buffers,macs,other,bytes,sees,stride,centre,line"
    assert everything[4] == "c2.conv,conv,c1.relu,1x16x2x3,1152,0,6912,0,384,7x7,4x4,0x0,9"


def test_siblings_are_sorted(capsys: Capture) -> None:
    out = run(capsys, "summarize", "resnet34", "--sort", "macs", "--columns", "path,macs").out.splitlines()[3:9]
    assert [line.split("  ")[0] or line.split("  ")[1] for line in out] == [
        *("c4.stage", "unit_2 .. unit_6", "unit"),
        *("c3.stage", "unit_2 .. unit_4", "unit"),
    ]
    by_name = run(capsys, "summarize", "resnet34", "--sort", "path", "--depth", "1", "--columns", "path").out
    assert by_name.splitlines()[3:10] == ["c2", "c3", "c4", "c5", "image", "logits", "stem"]


BESIDE = """\
                                 tiny      wide   change
input                        1x1x8x12  1x3x8x12
parameters                      1,434     2,954   +106 %
in training                     1,479     3,039   +105 %
buffers                            32        32
MACs                            8,800    24,352   +177 %
other arithmetic                  682     1,162  +70.4 %
weights, bytes                  5,864    11,944   +104 %
activations, bytes              2,408     4,328  +79.7 %
two layers, bytes               1,536     3,072   +100 %
live inference peak, bytes      1,152     1,920  +66.7 %
live training peak, bytes      20,244    39,796  +96.6 %
nodes                               6         7  +16.7 %

parameters by entry
  c1                               80       448   +460 %
  c2                            1,184     2,336  +97.3 %
  logits                          170       170

MACs by entry
  c1                            1,728    10,368   +500 %
  c2                            6,912    13,824   +100 %
  logits                          160       160

activations, bytes by entry
  c1                            1,536     3,072   +100 %
  c2                              768       768
  c9                                -       384
  logits                          104       104
"""


def test_beside_another(capsys: Capture, tiny: str, tmp_path: Path) -> None:
    wide = TINY.replace("conv(8, 3, 2)", "conv(16, 3, 2)").replace("[N, 1,", "[N, 3,").partition("expect:")[0]
    wide = wide.replace("name: tiny", "name: wide").replace("logits: c2", "c9: c2 -> tanh\n  logits: c9")
    write(tmp_path, wide, "wide.yaml")
    answer = run(capsys, "summarize", tiny, "--compare", "wide.yaml")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == BESIDE
    data = run(capsys, "summarize", tiny, "--compare", "wide.yaml", "--json").document["data"]
    assert (data["macs"], data["compare"]["name"], data["compare"]["macs"]) == (8800, "wide", 24352)


@pytest.mark.parametrize(
    ("one", "other", "text"), [(0, 5, "new"), (4, 4, ""), (None, 4, ""), (4, 0, "-100 %"), (2, 30, "x 15")]
)
def test_a_change_in_words(one: int | None, other: int | None, text: str) -> None:
    assert change(one, other) == text


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--depth", "0"), "error: --depth wants a number of levels, at least 1, or all, got '0'\n"),
        (("--columns", "path,mac"), "error: there is no column 'mac'\n  help: did you mean 'macs'?\n"),
        (
            ("--sort", "weight"),
            "error: there is no column 'weight'\n  help: the columns are path, op, inputs, shape, params, ",
        ),
        (("--csv", "--depth", "2"), "error: --csv has a line for every node\n  help: leave out --depth\n"),
        (
            ("--compare", "lenet5", "--sort", "macs"),
            "error: --compare has rows and columns of its own\n  help: leave out ",
        ),
        (("--csv", "--amp", "bfloat16"), "error: --csv has a line for every node\n  help: leave out --amp\n"),
        (("--json", "--sort", "macs"), ""),
        (
            ("--symbolic", "--batch", "4"),
            "error: --symbolic has rows of its own, before sizes are chosen, and no --batch\n  help: give it alone",
        ),
        (
            ("--symbolic", "--device", "t4"),
            "error: --symbolic has rows of its own, before sizes are chosen, and no --d",
        ),
        (("--compare", "lenet6"), "error: there is no shipped spec 'lenet6'\n  help: did you mean 'lenet5'?\n"),
    ],
)
def test_bad_tables_are_bad_usage(capsys: Capture, tiny: str, args: tuple[str, ...], text: str) -> None:
    answer = run(capsys, "summarize", tiny, *args)
    assert answer.code == (3 if "lenet6" in args else 2)
    if "--json" in args:
        assert answer.document["diagnostics"][0]["help"] == "leave out --sort"
    assert answer.out == "" or "--json" in args
    assert answer.err.startswith(text)


def test_one_form_at_a_time(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "summarize", tiny, "--csv", "--json")
    assert answer.code == 2
    assert answer.document["diagnostics"][0]["message"] == "--json has every node and column"


def test_a_narrow_terminal_keeps_what_matters() -> None:
    cells = [["x" * 30, "conv", "1x64x112x112", "1,000", "118 M", "803 k", "3.21 MB", "7x7", "9"]]
    names = [[COLUMNS[place].name for place in fitting(COLUMNS, cells, width)] for width in (200, 95, 90, 40)]
    assert names[0] == ["node", "operator", "shape", "params", "MACs", "other", "bytes", "sees", "line"]
    assert names[1] == ["node", "operator", "shape", "params", "MACs", "bytes", "sees", "line"]
    assert names[2] == ["node", "operator", "shape", "params", "MACs", "bytes", "sees"]
    assert names[3] == ["node", "shape", "params", "MACs", "bytes"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1 k"), (999_499, "999 k"), (999_999, "1 M"), (11_513_626_624, "11.5 G")],
)
def test_people_units(number: int, text: str) -> None:
    assert scaled(number) == text


def test_counts_and_bytes() -> None:
    assert (count(9_999), count(60_192_808)) == ("9,999", "60,192,808 (60.2 M)")
    assert (bytes_text(12), bytes_text(12_000_000), bytes_text(1_200_000_000)) == ("12 B", "12 MB", "1.2 GB")
