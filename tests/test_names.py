"""Name maps are total and one-to-one, and loading through them is all or nothing.

Every refusal is compared as the text a user reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import cnnspec
from cnnspec.diagnostics import CnnspecError, MissingError, RunError, SpecError, UsageError
from cnnspec_torch.naming import NameMap, Target, find_map, shipped_maps
from cnnspec_torch.weights import export_weights, load_weights
from peers import PEERS, peer_model

MAPS = {Path(found.path).stem: found for found in shipped_maps()}
PAIRS = [(stem, spec) for stem, found in MAPS.items() for spec in found.specs]


def tiny() -> nn.Module:
    """Six tensors: a.conv.weight, a.conv.bias, a.bn.{weight, bias, running_mean, running_var} and the counter."""
    model = nn.Module()
    model.add_module("a", nn.Module())
    model.get_submodule("a").add_module("conv", nn.Conv2d(2, 3, 3))
    model.get_submodule("a").add_module("bn", nn.BatchNorm2d(3))
    return model


def map_at(folder: Path, text: str) -> Path:
    path = folder / "map.yaml"
    path.write_text(f"peer: other\nspecs: [net]\n{text}", encoding="utf-8")
    return path


def refusal(call: Callable[[], object], kind: type[CnnspecError] = RunError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


# the shipped maps


def test_every_spec_has_at_most_one_map_to_a_peer() -> None:
    rows = [(spec, found.peer) for found in MAPS.values() for spec in found.specs]
    assert len(set(rows)) == len(rows)
    assert dict(rows) == PEERS


@pytest.mark.parametrize(("stem", "spec"), PAIRS)
def test_map_is_total_and_one_to_one(stem: str, spec: str) -> None:
    with torch.device("meta"):
        ours = cnnspec.compile(spec).lower("torch").state_dict()
    with torch.device("cpu" if spec.startswith("regnet") else "meta"):  # RegNet reckons its widths with tensors
        peer = peer_model(spec).state_dict()
    targets = MAPS[stem].peer_of(ours)
    assert list(targets) == list(ours)
    assert sorted(target.to for target in targets.values()) == sorted(peer)
    for name, target in targets.items():
        assert target.to_peer(ours[name]).shape == peer[target.to].shape, name


@pytest.mark.parametrize("stem", MAPS)
def test_every_line_of_a_map_is_used(stem: str) -> None:
    with torch.device("meta"):
        keys = [key for spec in MAPS[stem].specs for key in cnnspec.compile(spec).lower("torch").state_dict()]
    unused = [p.target.to for p in MAPS[stem].pairs if not any(p.match(key) for key in keys)]
    assert unused == []


@pytest.mark.parametrize("spec", ["resnet18", "mobilenet-v2", "regnet-y-400mf", "convnext-tiny"])
def test_round_trip_through_the_peer(spec: str) -> None:
    ours, back, peer = lowered(spec, 1), lowered(spec, 2), peer_model(spec)
    peer.load_state_dict(export_weights(ours, "torchvision"))
    load_weights(back, peer.state_dict(), "torchvision")
    for name, value in ours.state_dict().items():
        assert torch.equal(value, back.state_dict()[name]), name


def lowered(spec: str, seed: int) -> nn.Module:
    model: nn.Module = cnnspec.compile(spec).lower("torch", seed=seed)
    return model


def test_densenet_reads_the_names_of_the_published_file() -> None:
    name = "features.denseblock2.denselayer10.norm.1.running_var"
    assert MAPS["densenet.torchvision"].present([name]) == {name: name.replace("norm.1", "norm1")}


def test_a_model_carries_the_name_of_its_spec() -> None:
    model = lowered("lenet5", 1)
    help = "give a map of your own as a path, or names=None where the names are ours"
    text = f"error: there is no map of names between lenet5 and torchvision\n  help: {help}"
    assert refusal(lambda: find_map(model, "torchvision"), MissingError) == text
    assert refusal(lambda: find_map(deepcopy(model), "torchvision"), MissingError) == text
    assert "did you mean 'torchvision'?" in refusal(lambda: find_map(model, "torchvison"), MissingError)


def test_a_shipped_map_has_a_name_of_its_own() -> None:
    found = find_map(tiny(), "resnet.torchvision")
    assert found is not None
    assert Path(found.path).name == "resnet.torchvision.yaml"


def test_a_model_of_another_origin_wants_a_path() -> None:
    assert refusal(lambda: find_map(tiny(), "torchvision"), UsageError) == (
        "error: the model does not say which spec it is\n"
        "  help: give the map of names as a path, or by its name (resnet.torchvision)"
    )


# how axes lie


@pytest.mark.parametrize(
    ("target", "ours", "peer"),
    [
        (Target(to="keras", permute=(3, 2, 0, 1)), (8, 4, 3, 5), (3, 5, 4, 8)),
        (Target(to="linear", reshape=(0, 0)), (8, 4, 1, 1), (8, 4)),
        (Target(to="fc6", reshape=(0, -1)), (8, 4, 7, 7), (8, 196)),
        (Target(to="both", permute=(3, 2, 0, 1), reshape=(-1, 8)), (8, 4, 3, 5), (60, 8)),
    ],
)
def test_permute_and_reshape_go_both_ways(target: Target, ours: tuple[int, ...], peer: tuple[int, ...]) -> None:
    value = torch.randn(ours)
    laid = target.to_peer(value)
    assert laid.shape == peer
    assert torch.equal(target.from_peer(laid, value.shape), value)


def test_permute_is_what_it_says() -> None:
    keras = torch.randn(3, 5, 4, 8)  # height, width, in, out
    ours = Target(to="k", permute=(3, 2, 0, 1)).from_peer(keras, torch.Size((8, 4, 3, 5)))
    assert ours[7, 2, 1, 4] == keras[1, 4, 2, 7]


def test_a_pair_that_lays_axes_out_names_a_tensor(tmp_path: Path) -> None:
    text = "pairs:\n  a.bn: n\n  a.conv.bias: c.b\n  a.conv.weight: {to: c.w, permute: [3, 2, 0, 1]}\n"
    model, path = tiny(), map_at(tmp_path, text)
    state = export_weights(model, path)
    assert state["c.w"].shape == (3, 3, 2, 3)
    assert state["n.weight"].shape == (3,)
    other = tiny()
    load_weights(other, state, path)
    assert torch.equal(other.state_dict()["a.conv.weight"], model.state_dict()["a.conv.weight"])


def test_an_option_that_does_not_suit_its_tensor(tmp_path: Path) -> None:
    path = map_at(tmp_path, "pairs:\n  a.bn: n\n  a.conv.weight: w\n  a.conv.bias: {to: b, permute: [1, 0]}\n")
    text = "error: b: permute [1, 0], reshape [] does not suit a tensor of shape [3]"
    assert refusal(lambda: export_weights(tiny(), path)) == text


# maps with faults


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ("pairs: {'a{u-1}': b}", "3:19", "pairs.a{u-1}: {u-1} is no wildcard: a name, once"),
        ("pairs: {'a{u}.{u}': b}", "3:21", "pairs.a{u}.{u}: {u} is no wildcard: a name, once"),
        ("pairs: {'a{u}': 'b{v}'}", "3:17", "pairs.a{u}: {v} is not made of a wildcard of the other side"),
        ("pairs: {'a{u}': 'b{u**9}'}", "3:17", "pairs.a{u}: {u**9} is not made of a wildcard of the other side"),
        ("parts: {p: {x: y}}\npairs: {'a{p}': 'b{p+1}'}", "4:17", "pairs.a{p}: {p+1} is not made of a wildcard"),
        ("pairs: {a: {to: b, flip: 1}}", "3:26", "pairs.a.Target.flip: Extra inputs are not permitted"),
        ("pairs: {a: b}\nextra: 1", "4:8", "extra: Extra inputs are not permitted"),
        ("pears: {a: b}", "1:1", "pairs: Field required"),
    ],
)
def test_faults_of_a_map(tmp_path: Path, lines: str, place: str, said: str) -> None:
    path = map_at(tmp_path, f"{lines}\n")
    text = refusal(lambda: NameMap.read(path), SpecError)
    assert f"{path}:{place}: error[names.map]: {said}" in text


def test_a_map_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert refusal(lambda: NameMap.read(path), MissingError) == f"error: cannot read {path}: No such file or directory"


def test_a_map_that_is_not_one_to_one(tmp_path: Path) -> None:
    path = map_at(tmp_path, "pairs: {a.conv: c, a.bn: c, 'a.co{n}nv.bias': c.bias}")
    assert refusal(lambda: export_weights(tiny(), path)) == (
        f"error: {path} does not give every tensor one name:\n"
        "  a.conv.bias stands 2 times\n"
        "  a.conv.weight and a.bn.weight are both c.weight"
    )
    path = map_at(tmp_path, "pairs: {a.bn: c}\ndropped: {ours: [a.conv.bias]}")
    text = f"error: {path} does not give every tensor one name:\n  a.conv.weight stands 0 times"
    assert refusal(lambda: export_weights(tiny(), path)) == text


def test_dropped_tensors_of_both_sides_are_left_alone(tmp_path: Path) -> None:
    path = map_at(tmp_path, "pairs: {a.conv: c}\ndropped: {ours: [a.bn], peer: ['aux{i}.fc']}")
    model = tiny()
    mean = torch.full((3,), 5.0)
    model.state_dict()["a.bn.running_mean"].copy_(mean)
    given = {"c.weight": torch.ones(3, 2, 3, 3), "c.bias": torch.zeros(3), "aux1.fc.weight": torch.ones(1)}
    load_weights(model, given, path)
    assert torch.equal(model.state_dict()["a.bn.running_mean"], mean)
    assert torch.equal(model.state_dict()["a.conv.weight"], given["c.weight"])
    assert sorted(export_weights(model, path)) == ["c.bias", "c.weight"]


# weights with faults: nothing is copied


def faulty(change: Callable[[dict[str, Tensor]], object]) -> str:
    """What load_weights says to a changed state dict; the model must stay as it was."""
    model = tiny()
    before = deepcopy(model.state_dict())
    state = {name: value + 1 for name, value in before.items()}
    change(state)
    text = refusal(lambda: load_weights(model, state, names=None))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return text


def test_missing_and_unexpected_names() -> None:
    def rename(state: dict[str, Tensor]) -> None:
        state["a.conv.wieght"] = state.pop("a.conv.weight")
        state.pop("a.bn.bias")

    assert faulty(rename) == (
        "error: the state dict does not have the model's tensors\n"
        "2 missing:\n"
        "  a.conv.weight (for a.conv.weight), it has a.conv.wieght\n"
        "  a.bn.bias (for a.bn.bias)\n"
        "1 unexpected:\n"
        "  a.conv.wieght, wanted is a.conv.weight"
    )


def test_ten_names_are_shown_and_the_rest_counted() -> None:
    text = faulty(lambda state: state.update({f"extra{i:02}": torch.zeros(1) for i in range(13)}))
    assert text.startswith("error: the state dict does not have the model's tensors\n13 unexpected:\n  extra00\n")
    assert text.endswith("  extra09\n  ... and 3 more")


def test_a_shape_that_differs() -> None:
    assert faulty(lambda state: state.update({"a.conv.weight": torch.zeros(3, 2, 5, 5)})) == (
        "error: 1 tensors of the state dict do not fit the model's:\n"
        "  a.conv.weight is [3, 2, 3, 3] float32, which wants a.conv.weight to be [3, 2, 3, 3]; "
        "it is [3, 2, 5, 5] float32"
    )


def test_a_type_of_another_kind() -> None:
    assert faulty(lambda state: state.update({"a.conv.bias": torch.zeros(3, dtype=torch.int8)})) == (
        "error: 1 tensors of the state dict do not fit the model's:\n"
        "  a.conv.bias is [3] float32, which wants a.conv.bias to be [3]; it is [3] int8"
    )


def test_numbers_that_are_no_numbers() -> None:
    def spoil(state: dict[str, Tensor]) -> None:
        state["a.conv.weight"][1, 0, 2, 2] = torch.nan
        state["a.conv.weight"][2, 1, 0, 0] = torch.inf

    assert faulty(spoil) == (
        "error: the state dict holds numbers that are NaN or infinite; nothing was loaded:\n"
        "  a.conv.weight (for a.conv.weight): 2 of 54, the first at [1, 0, 2, 2]"
    )


def test_floating_types_are_converted_and_the_counter_may_be_absent() -> None:
    model, state = tiny(), {name: value.double() + 1 for name, value in tiny().state_dict().items()}
    state.pop("a.bn.num_batches_tracked")
    load_weights(model, state, names=None)
    assert model.state_dict()["a.conv.weight"].dtype == torch.float32
    assert torch.equal(model.state_dict()["a.conv.weight"], state["a.conv.weight"].float())


# files


def write(path: Path) -> None:
    state = tiny().state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_reads_a_file(tmp_path: Path, suffix: str) -> None:
    model, path = tiny(), tmp_path / f"weights{suffix}"
    given = {name: value + 1 for name, value in tiny().state_dict().items()}
    save_file(given, path) if suffix == ".safetensors" else torch.save(given, path)
    load_weights(model, str(path), names=None)
    assert all(torch.equal(value, given[name]) for name, value in model.state_dict().items())


def test_reads_a_file_from_before_archives(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "weights.pth"
    given = {name: value + 1 for name, value in tiny().state_dict().items()}
    torch.save(given, path, _use_new_zipfile_serialization=False)
    load_weights(model, path, names=None)
    assert torch.equal(model.state_dict()["a.conv.weight"], given["a.conv.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
def test_a_file_that_was_cut(tmp_path: Path, suffix: str, keep: float) -> None:
    path = tmp_path / f"weights{suffix}"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))] if keep == 0.5 else data[: int(keep)])
    text = refusal(lambda: load_weights(tiny(), path, names=None))
    assert (
        text.startswith(f"error: {path} ({path.stat().st_size} bytes) cannot be read: ") or "no file of tensors" in text
    )


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_runs_a_command(tmp_path: Path) -> None:
    path, canary = tmp_path / "weights.pth", tmp_path / "canary"
    torch.save({"a": Canary(canary)}, path)
    assert refusal(lambda: load_weights(tiny(), path, names=None)) == (
        f"error: {path} holds {os.system.__module__}.system, which is no tensor; it was not loaded\n"
        "  help: save the state dict, best as .safetensors"
    )
    assert not canary.exists()


def test_a_file_that_holds_no_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save([torch.zeros(1)], path)
    text = f"error: {path} holds no state dict: names and their tensors"
    assert refusal(lambda: load_weights(tiny(), path, names=None)) == text


def test_a_file_that_is_not_there_and_one_of_another_kind(tmp_path: Path) -> None:
    gone, other = tmp_path / "gone.pth", tmp_path / "weights.h5"
    other.write_bytes(b"x")
    assert refusal(lambda: load_weights(tiny(), gone, None), MissingError) == f"error: there is no file {gone}"
    text = "error: weights.h5 is no file of weights\n  help: weights are .safetensors, .pth or .pt files"
    assert refusal(lambda: load_weights(tiny(), other, None), UsageError) == text
