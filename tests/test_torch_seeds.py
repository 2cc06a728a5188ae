"""Start weights: PyTorch's own, drawn from (seed, path) and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
import torch
from torch import Tensor

from cnnspec.front import compile_text
from samples import AUXILIARY, RESIDUAL


def weights(text: str, seed: int = 0) -> dict[str, Tensor]:
    found: dict[str, Tensor] = compile_text(text).lower("torch", seed=seed).state_dict()
    return found


def random(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if "batchnorm" not in name}


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = weights(RESIDUAL, 7), weights(RESIDUAL, 7)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("seed", [1, -1, 2**70])
def test_another_seed_gives_others(seed: int) -> None:
    first, second = random(weights(RESIDUAL)), random(weights(RESIDUAL, seed))
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_paths_give_different_weights() -> None:
    state = weights(RESIDUAL)
    twins = state["c1.unit.main.conv_bn_2.conv.weight"], state["c1.unit_2.main.conv_bn.conv.weight"]
    assert twins[0].shape == twins[1].shape
    assert not torch.equal(*twins)


def earlier(text: str) -> str:
    return text.replace("stem: image -> conv(", "stem: image -> relu -> conv(")


def wider(text: str) -> str:
    return text.replace("outputs: [logits]", "  more: stem -> conv(4, 3)\noutputs: [logits, more]")


def reordered(text: str) -> str:
    stem = "  stem: image -> conv(4, 3, 2, padding=same) -> relu6\n"
    return text.replace(stem, "").replace("outputs:", f"{stem}outputs:")


@pytest.mark.parametrize("change", [earlier, wider, reordered])
def test_adding_a_node_changes_no_other(change: Callable[[str], str]) -> None:
    before, after = weights(RESIDUAL), weights(change(RESIDUAL))
    assert change(RESIDUAL) != RESIDUAL
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_training_only_outputs_change_no_other() -> None:
    before, after = weights(RESIDUAL), weights(AUXILIARY)
    assert set(after) - set(before) == {"aux.conv.weight", "aux.conv.bias", "aux.dense.weight", "aux.dense.bias"}
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    weights(RESIDUAL)
    assert torch.equal(torch.rand(4), expected)


def test_the_global_random_state_has_no_say() -> None:
    torch.manual_seed(1)
    first = weights(RESIDUAL)
    torch.manual_seed(2)
    second = weights(RESIDUAL)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_values_are_those_of_torchs_layers() -> None:
    """Uniform within 1 / sqrt(inputs of a filter): torch.nn.Conv2d and torch.nn.Linear, by their documentation."""
    net = "net:\n  c: image -> conv(64, 3)\n  y: c -> global_avgpool -> dense(96)"
    state = weights(f"cnnspec: 1\nname: layers\ninput: {{image: [N, 16, 8, 8]}}\n{net}\noutputs: [y]\n")
    for name, inputs in {"c.conv.weight": 144, "c.conv.bias": 144, "y.dense.weight": 64, "y.dense.bias": 64}.items():
        assert state[name].abs().max() <= inputs**-0.5
        assert state[name].std().item() == pytest.approx((inputs * 3) ** -0.5, rel=0.2)


def test_on_the_meta_device_nothing_is_drawn() -> None:
    with torch.device("meta"):
        model = compile_text(RESIDUAL).lower("torch")
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_the_seed_of_a_path_is_a_contract() -> None:
    """The first eight bytes of SHA-256 of `seed:path`: runs of one version repeat in the next."""
    generator = torch.Generator().manual_seed(int.from_bytes(sha256(b"0:stem.conv").digest()[:8]))
    expected = torch.empty(4, 3, 3, 3)
    torch.nn.init.kaiming_uniform_(expected, a=5**0.5, generator=generator)
    torch.testing.assert_close(weights(RESIDUAL)["stem.conv.weight"], expected)
