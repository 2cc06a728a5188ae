"""Every row of the table against the module it lowers to: shapes, weights, multiply-accumulates."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cnnspec_torch.lower import lower
from samples import IDS, SAMPLES, Sample

COUNTER = "num_batches_tracked"
"""Torch's own counter of batches; it is no statistic and `buffers` leaves it out."""

every_row = pytest.mark.parametrize("sample", SAMPLES, ids=IDS)


def inputs(sample: Sample, device: str = "cpu") -> list[torch.Tensor]:
    return [torch.randn(x.concrete, device=device) for x in sample.inputs]


@every_row
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_shape(sample: Sample, device: str, training: bool) -> None:
    module = lower(sample.op, *sample.inputs).to(device).train(training)
    assert module(*inputs(sample, device)).shape == sample.output.concrete


@every_row
def test_params(sample: Sample) -> None:
    module = lower(sample.op, *sample.inputs)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == sample.op.params(*sample.inputs)


@every_row
def test_buffers(sample: Sample) -> None:
    module = lower(sample.op, *sample.inputs)
    found = {name: tuple(b.shape) for name, b in module.named_buffers() if name != COUNTER}
    assert found == sample.op.buffers(*sample.inputs)


@every_row
def test_macs(sample: Sample) -> None:
    module = lower(sample.op, *sample.inputs).eval()
    with FlopCounterMode(display=False) as counter:
        module(*inputs(sample))
    counted = counter.get_total_flops() // 2
    if table := getattr(sample.op, "table", None):  # torch multiplies by the zeros of the full kernel too
        counted = counted * sum(map(len, table)) // (len(table) * sample.inputs[0].channels)
    assert sample.op.macs(sample.output, *sample.inputs) == counted


@every_row
def test_a_module_prints_itself(sample: Sample) -> None:
    assert str(lower(sample.op, *sample.inputs)).endswith(")")


@every_row
def test_gradients_are_right(sample: Sample) -> None:
    """Numerically, in double precision; dropout in evaluation, where it is deterministic."""
    module = lower(sample.op, *sample.inputs).double().eval()
    torch.manual_seed(1)
    xs = [torch.randn((1, *x.concrete[1:]), dtype=torch.float64, requires_grad=True) for x in sample.inputs]
    assert torch.autograd.gradcheck(module, xs, fast_mode=True)


@every_row
def test_other_arithmetic_is_counted(sample: Sample) -> None:
    """Nothing but moving data is free."""
    free = {"flatten", "dropout", "identity", "concat", "crop", "pad", "channels", "channel_shuffle"}
    free |= {"pixel_shuffle", "reshape", "permute", "stochastic_depth"}
    if getattr(sample.op, "mode", None) == "nearest":
        free |= {"upsample", "resize"}
    bare = sample.op.macs(sample.output, *sample.inputs) > 0 and "bias" not in sample.op.params(*sample.inputs)
    assert (sample.op.other(sample.output, *sample.inputs) == 0) == (sample.op.op in free or bare)
