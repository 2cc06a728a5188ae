"""Every shipped spec: it compiles, its numbers are the published ones, and its keys are a contract.

`python tests/test_zoo.py` writes the golden key files anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cnnspec
from cnnspec import zoo
from cnnspec.front import compile_file
from peers import SEGMENTATION, TORCHVISION, torchvision_meta

LINES = 60
GOLDEN = Path(__file__).parent / "golden"
GOLDEN_SPECS = ("lenet5", "resnet34", "yolov3")


def small_yolo(width: int, maps: int, side: int) -> tuple[int, int]:
    """Parameters and MACs of yolo-small, added up layer by layer."""
    layers = [(3, width, 3, side // 2)]  # maps, filters, kernel, side of the result
    for i, units in enumerate((1, 2, 2, 2)):
        filters, size = 2 * width << i, side // 4 >> i
        layers += [(filters // 2, filters, 3, size)]
        layers += units * [(filters, filters // 2, 1, size), (filters // 2, filters, 3, size)]
    deep, size = 16 * width, side // 32
    layers += [(deep, deep // 2, 1, size), (deep // 2, deep, 3, size)]
    outputs = [(deep, size)]
    for filters in (4 * width, 2 * width):
        layers += [(deep, filters, 1, size), (3 * filters, filters, 1, 2 * size), (filters, 2 * filters, 3, 2 * size)]
        deep, size = 2 * filters, 2 * size
        outputs += [(deep, size)]
    params = sum(c * f * k * k + 2 * f for c, f, k, _ in layers) + sum((c + 1) * maps for c, _ in outputs)
    macs = sum(s * s * c * f * k * k for c, f, k, s in layers) + sum(s * s * c * maps for c, s in outputs)
    return params, macs


# The published counts of trainable numbers, without training-only outputs.
PARAMS = {
    "lenet5": 61_706,
    "fashion-cnn": 1_413_834,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "googlenet": 6_998_552,
    "densenet121": 7_978_856,
    "mobilenet-v2": 3_504_872,
    "squeezenet1-1": 1_235_496,
    "alexnet": 60_965_224,
    "alexnet-torchvision": 61_100_840,
    "vgg11-bn": 132_868_840,
    "vgg13-bn": 133_053_736,
    "vgg16-bn": 138_365_992,
    "vgg19-bn": 143_678_248,
    "resnext50": 25_028_904,
    "resnet34-keras": 21_289_802,
    "googlenet-bn": 6_624_904,
    "inception-v3": 23_834_568,
    "inception-v4": 42_679_816,
    "seresnet50": 28_088_024,
    "se-googlenet": 7_478_655,
    "senet154": 115_088_984,
    "darknet53": 41_609_928,
    "darknet53-timm": 41_609_928,
    "xception": 22_855_952,
    "hrnet-w18": 21_299_004,
    "shufflenet-v2": 2_278_604,
    "mobilenet-v3-large": 5_483_032,
    "efficientnet-b0": 5_288_548,
    "regnet-y-400mf": 4_344_144,
    "convnext-tiny": 28_589_128,
    "fcn-resnet50": 32_957_013,
    "fcn-resnet101": 51_949_141,
    "deeplabv3-resnet50": 39_638_869,
    "lraspp-mobilenet-v3": 3_221_538,
    "fcn32s": 136_152_917,
    "fcn16s": 134_815_994,
    "fcn8s": 134_489_759,
    "yolov3": 61_949_149,
    "yolo-small": small_yolo(16, 255, 320)[0],
    "yolo-chapter": 41_609_928 - 1025 * 1000 + 9 * 1024**2 + 2 * 1024 + 1025 * 45,  # Darknet-53, a layer, its maps
    "lenet5-1998": 60_000,
    "filters": 0,
}
# GoogLeNet's auxiliary heads: 128 1x1 filters, 2048 -> 1024 and 1024 -> 1000, on 512 and on 528 maps.
GOOGLENET_HEADS = (512 + 528) * 128 + 2 * (128 + 2049 * 1024 + 1025 * 1000)
TRAINING_PARAMS = PARAMS | {
    "googlenet": PARAMS["googlenet"] + GOOGLENET_HEADS,
    "se-googlenet": PARAMS["se-googlenet"] + GOOGLENET_HEADS,
    "googlenet-bn": 13_004_888,
    "inception-v3": 27_161_264,
    "fcn-resnet50": 35_322_218,
    "fcn-resnet101": 54_314_346,
    "deeplabv3-resnet50": 42_004_074,
}
LABELS = {"imagenet": 1000, "coco": 80, "voc-objects": 20, "voc": 21, "digits": 10, "fashion-mnist": 10}
IDLE_BIASES = {"vgg11-bn", "vgg13-bn", "vgg16-bn", "vgg19-bn", "hrnet-w18"}
"""Published with biases before batch normalization."""

DARKNET53 = ((1, 1, 64), (2, 2, 128), (3, 8, 256), (4, 8, 512), (5, 4, 1024))  # halvings, units, filters
# VGG-16 as FCN has it, of 512 pixels and 198 of padding, up to the scores of its last layer.
FCN = (
    9 * (710**2 * (3 + 64) * 64 + 355**2 * (64 + 128) * 128 + 178**2 * (128 + 2 * 256) * 256)
    + 9 * (89**2 * (256 + 2 * 512) * 512 + 45**2 * 3 * 512 * 512)
    + 17**2 * (512 * 49 + 4096 + 21) * 4096
)
# The others, by hand: sums over layers of positions x filters x kernel x maps. ResNet-50's and GoogLeNet's own, under
# those of their gates, are held to torchvision and to the paper elsewhere.


def darknet53_macs(halved: int) -> int:
    """Darknet-53 without its classifier; `halved` is the image's side."""
    return halved**2 * 32 * 27 + sum((halved >> i) ** 2 * f * f // 2 * (9 + n * 10) for i, n, f in DARKNET53)


def yolov3_macs(grid: int, maps: int, filters: int) -> int:
    """One scale: 1x1 and 3x3 in turn, five layers and one, then 255 maps."""
    return grid**2 * filters * (maps + (9 + 1 + 9 + 1 + 9) * 2 * filters + 2 * 255)


MACS_BY_HAND = {
    "lenet5": 28**2 * 6 * 25 + 10**2 * 16 * 150 + 120 * 400 + 84 * 120 + 10 * 84,
    "fashion-cnn": 28**2 * 64 * 49
    + 14**2 * 128 * 9 * (64 + 128)
    + 7**2 * 256 * 9 * (128 + 256)
    + 2304 * 128
    + 128 * 64
    + 64 * 10,
    "alexnet": 55**2 * 96 * 363
    + 27**2 * 256 * 48 * 25
    + 13**2 * 9 * (384 * 256 + 384 * 192 + 256 * 192)
    + 9216 * 4096
    + 4096 * 4096
    + 4096 * 1000,
    "resnet34-keras": 112**2 * 64 * 147
    + 56**2 * 9 * 64 * 64 * 6
    + 28**2 * (9 * 128 * (64 + 7 * 128) + 64 * 128)
    + 14**2 * (9 * 256 * (128 + 11 * 256) + 128 * 256)
    + 7**2 * (9 * 512 * (256 + 5 * 512) + 256 * 512)
    + 512 * 10,
    "darknet53": darknet53_macs(256) + 1024 * 1000,
    "darknet53-timm": darknet53_macs(256) + 1024 * 1000,
    "yolov3": darknet53_macs(416)
    + yolov3_macs(13, 1024, 512)
    + 13**2 * 512 * 256
    + yolov3_macs(26, 256 + 512, 256)
    + 26**2 * 256 * 128
    + yolov3_macs(52, 128 + 256, 128),
    "yolo-small": small_yolo(16, 255, 320)[1],
    "yolo-chapter": darknet53_macs(416) + 13**2 * 1024 * (9 * 1024 + 45),
    # The paper's connections, less those of biases, of the two sub-samplings (five a unit) and of the codes.
    "lenet5-1998": 340_908 - (28**2 * 6 + 10**2 * 16 + 120 + 84) - 5 * (14**2 * 6 + 5**2 * 16) - 10 * 84,
    "filters": 427 * 640 * 2 * 49 * 3,
    "seresnet50": 4_089_184_256 + sum(n * 2 * c * c // 16 for n, c in ((3, 256), (4, 512), (6, 1024), (3, 2048))),
    "se-googlenet": 1_582_671_872 + sum(2 * c * (c // 16) for c in (256, 480, 512, 512, 512, 528, 832, 832, 1024)),
    "fcn32s": FCN + 17**2 * 21**2 * 64**2,
    "fcn16s": FCN + 21**2 * (17**2 * 4**2 + 36**2 * 32**2) + 45**2 * 21 * 512,
    "fcn8s": FCN + 21**2 * ((17**2 + 36**2) * 4**2 + 74**2 * 16**2) + 45**2 * 21 * 512 + 89**2 * 21 * 256,
    # Half of what torch.utils.flop_counter counts in the networks of timm 1.0.31.
    "senet154": 20_688_363_520,
    "inception-v4": 12_253_974_624,
    "xception": 8_357_403_496,
    "hrnet-w18": 4_283_537_072,
}
# What torchvision's segmentation networks run in inference too, and count: at 520 pixels, under c4's 1024 maps.
SEGMENTATION_AUX = 65**2 * 256 * (9 * 1024 + 21)
# Szegedy et al. 2014, table 1, column "ops", in millions. Two are left out, as they are not what the table's own sizes
# give: 34 for conv1 (112 x 112 x 64 x 147 is 118) and 54 for inception5a (51).
GOOGLENET_MILLIONS = {
    "conv2": 360,
    "inception3a": 128,
    "inception3b": 304,
    "inception4a": 73,
    "inception4b": 88,
    "inception4c": 100,
    "inception4d": 119,
    "inception4e": 170,
    "inception5b": 71,
    "logits": 1,
}


def keys(spec: str) -> str:
    """Every state-dict key of a spec, one a line."""
    return "".join(f"{key}\n" for key in cnnspec.compile(spec).lower("torch").state_dict())


def test_the_tables_hold_every_shipped_spec() -> None:
    assert set(zoo.names()) == set(PARAMS)
    assert set(PARAMS) == {*TORCHVISION, *SEGMENTATION, *MACS_BY_HAND, "googlenet"}


@pytest.mark.parametrize("spec", zoo.names())
def test_has_the_published_parameters(spec: str) -> None:
    params = cnnspec.compile(spec).cost().params
    assert (params.trainable, params.training_total) == (PARAMS[spec], TRAINING_PARAMS[spec])


def test_the_chapters_resnet34_has_its_statistics() -> None:
    cost = cnnspec.compile("resnet34-keras").cost()
    assert (cost.buffers, cost.params.trainable + cost.buffers) == (17_024, 21_306_826)


@pytest.mark.parametrize("spec", zoo.names())
def test_states_what_it_expects_and_compiles_without_warnings(spec: str) -> None:
    graph = cnnspec.compile(spec)
    assert [warning.code for warning in graph.warnings] == ["advice.bias"] * (spec in IDLE_BIASES)
    assert graph.name == spec
    assert "params" in graph.expected
    assert {output.name for output in graph.inference().outputs} & set(graph.expected)
    assert ("training_params" in graph.expected) == (TRAINING_PARAMS[spec] != PARAMS[spec])


@pytest.mark.parametrize("spec", zoo.names())
def test_fits_a_screen_and_names_its_source(spec: str) -> None:
    text = (zoo.folder() / f"{spec}.yaml").read_text(encoding="utf-8")
    network = text.partition("\nweights:")[0]
    assert len(network.splitlines()) <= LINES
    assert max(len(line) for line in text.splitlines() if "https://" not in line) <= 120
    about = cnnspec.compile(spec).about
    assert re.search(r"\b(19|20)\d\d\b", about), "about: the year of the source"
    assert re.search(r"\b((table|figure|chapter|section) \d|appendix)", about), "about: the place in the source"


@pytest.mark.parametrize("spec", zoo.names())
def test_has_as_many_labels_as_classes(spec: str) -> None:
    for head in cnnspec.compile(spec).heads.values():
        if spec == "resnet34-keras":  # of no data set
            assert head.labels is None
            continue
        assert head.labels is not None
        assert head.label_set is not None
        assert len(set(head.labels)) == LABELS[head.label_set]


def test_imagenet_labels_begin_with_the_wordnet_id() -> None:
    labels = zoo.labels("imagenet")
    assert labels is not None
    assert all(re.fullmatch(r"n\d{8} \S.*", label) for label in labels)
    assert list(labels) == sorted(labels)
    assert {"n03877845 palace", "n02825657 bell cote", "n03781244 monastery", "n04522168 vase"} <= set(labels)


@pytest.mark.parametrize("spec", [*TORCHVISION, *SEGMENTATION])
def test_has_the_multiply_accumulates_that_torchvision_publishes(spec: str) -> None:
    """At the image that they are given with, in units of 1e9."""
    inputs = {"image": "N,3,520,520"} if spec in SEGMENTATION else None  # 520 is no multiple of 16
    graph = compile_file(spec, inputs=inputs)
    aux = spec in SEGMENTATION and any(output.name == "aux" for output in graph.outputs)
    macs = graph.cost().macs + aux * SEGMENTATION_AUX
    assert round(macs / 1e9, 3) == torchvision_meta(spec)["_ops"]


@pytest.mark.parametrize("spec", MACS_BY_HAND)
def test_has_the_multiply_accumulates_reckoned_by_hand(spec: str) -> None:
    assert cnnspec.compile(spec).cost().macs == MACS_BY_HAND[spec]


def test_yolov3_has_the_operations_of_its_authors() -> None:
    """65.86 billion at 416 pixels (pjreddie.com/darknet/yolo), two for a multiply-accumulate."""
    assert round(2 * cnnspec.compile("yolov3").cost().macs / 1e9, 2) == 65.86


def test_googlenet_has_the_multiply_accumulates_of_the_paper() -> None:
    """torchvision's is googlenet-bn, another network; here the paper's table is the oracle."""
    millions: dict[str, float] = dict.fromkeys(GOOGLENET_MILLIONS, 0)
    for row in cnnspec.compile("googlenet").cost().rows:
        entry = row.path.partition(".")[0]
        if entry in millions:
            millions[entry] += row.macs / 1e6
    assert millions == pytest.approx(GOOGLENET_MILLIONS, abs=1)


@pytest.mark.parametrize("spec", GOLDEN_SPECS)
def test_keys_are_the_golden_ones(spec: str) -> None:
    golden, found = GOLDEN / f"keys-{spec}.txt", keys(spec)
    assert golden.read_text(encoding="utf-8") == found, "to write it anew: python tests/test_zoo.py"


if __name__ == "__main__":
    for name in GOLDEN_SPECS:
        (GOLDEN / f"keys-{name}.txt").write_text(keys(name), encoding="utf-8")
