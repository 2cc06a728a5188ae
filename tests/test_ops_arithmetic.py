"""Arithmetic besides the multiply-accumulates, reckoned by hand for rows of the table.

[2, 4, 13] holds 104 values, [2, 4, 9, 11] 792, [2, 4, 6, 7, 8] 2,688 and [2, 12] 24.
"""

from __future__ import annotations

import pytest

from samples import SAMPLES

COUNTS = {
    "conv": 2 * 6 * 9 * 11,  # the bias
    "conv-valid": 0,
    "depthwise": 792,
    "depthwise-1d": 0,
    "transposed_conv": 2 * 6 * 19 * 23,
    "transposed_conv-1d": 0,
    "dense": 2 * 5,
    "dense-bare": 0,
    "distance": 2 * 3 * 12 * 3,  # difference, square, sum
    "maxpool": 2 * 4 * (4 * 5) * 4,
    "avgpool": 2 * 4 * (4 * 3) * 6,
    "avgpool-1d": 2 * 4 * 7 * 3,
    "global_avgpool": 792,
    "global_maxpool": 104,
    "adaptive_avgpool": 2 * 4 * (3 + 3 + 3 + 3) * (3 + 4 + 4 + 3),
    "adaptive_avgpool-1d": 2 * 4 * (3 + 4 + 3 + 4 + 3),
    "channel_maxpool": 2 * 2 * 99 * 3,
    "batchnorm": 792 * 2,
    "lrn": 792 * (1 + 5 + 4),  # square, sum of five, scaling, shift, power, division
    "lrn-1d": 104 * (1 + 3 + 4),
    "groupnorm": 792 * 7,
    "layernorm": 792 * 7,
    "channel_affine": 792 * 2,
    "channel_affine-scale": 24,
    "normalize": 792 * 2,
    "relu": 792,
    "relu6": 792 * 2,
    "leaky_relu": 792 * 2,
    "prelu": 792 * 2,
    "elu": 792 * 4,
    "selu": 792 * 4,
    "gelu": 792 * 5,
    "silu": 792 * 4,
    "mish": 792 * 5,
    "hard_swish": 792 * 5,
    "hard_sigmoid": 24 * 4,
    "scaled_tanh": 792 * 3,
    "tanh": 24,
    "sigmoid": 104 * 3,
    "softmax": 24 * 3,
    "add": 792,
    "maximum-three": 24 * 2,
    "multiply-three": 104 * 2,
    "scale": 792,
    "upsample": 0,
    "upsample-1d": 104 * 3 * (2 + 1),  # two weighted neighbours and their sum
    "upsample-bilinear": 792 * 6 * (4 + 3),
    "upsample-3d": 2688 * 6 * (8 + 7),
    "resize-bilinear": 2 * 4 * 20 * 5 * (4 + 3),
}


@pytest.mark.parametrize("name", COUNTS)
def test_other_arithmetic(name: str) -> None:
    sample = next(sample for sample in SAMPLES if sample.id == name)
    assert sample.op.other(sample.output, *sample.inputs) == COUNTS[name]
