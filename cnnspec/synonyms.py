"""Names that other frameworks give to our operators and arguments, for did-you-mean."""

from __future__ import annotations

from collections.abc import Iterable

from cnnspec.diagnostics import did_you_mean

_OPERATORS = {
    "conv": "conv1d conv2d conv3d convolution",
    "depthwise": "depthwiseconv2d dwconv depthwise_conv",
    "transposed_conv": "convtranspose2d conv2dtranspose deconv convtranspose conv_transpose",
    "maxpool": "maxpool2d maxpooling2d max_pool max_pool2d pool",
    "avgpool": "avgpool2d averagepooling2d avg_pool avg_pool2d meanpool",
    "global_avgpool": "gap globalaveragepooling2d adaptiveavgpool2d global_average_pool global_pool",
    "batchnorm": "bn batchnorm2d batchnormalization batch_norm",
    "layernorm": "ln layernormalization layer_norm",
    "groupnorm": "gn group_norm",
    "lrn": "localresponsenorm local_response_norm",
    "dense": "linear fc fully_connected gemm matmul",
    "add": "sum plus residual",
    "multiply": "mul times",
    "concat": "cat concatenate",
    "leaky_relu": "leakyrelu lrelu",
    "silu": "swish",
    "hard_swish": "hardswish hswish",
    "hard_sigmoid": "hardsigmoid hsigmoid",
    "identity": "noop skip linear_activation",
    "upsample": "upsampling2d interpolate",
    "stochastic_depth": "drop_path droppath",
}
_ARGUMENTS = {
    "filters": "out_channels channels out features out_features num_filters",
    "features": "units out_features out filters",
    "kernel": "kernel_size ksize size k",
    "stride": "strides s",
    "padding": "pad p",
    "dilation": "dilation_rate dilations",
    "groups": "num_groups group",
    "bias": "use_bias",
    "rate": "p prob drop drop_prob",
    "eps": "epsilon",
    "ceil": "ceil_mode",
    "slope": "negative_slope alpha",
}


def _reversed(table: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ours, theirs in table.items():
        for name in theirs.split():
            found.setdefault(name, []).append(ours)
    return found


_OURS = {"operator": _reversed(_OPERATORS), "argument": _reversed(_ARGUMENTS)}


def meant(name: str, known: Iterable[str], what: str) -> str | None:
    """`did you mean 'dense'?` for `Linear`; `what` is operator or argument."""
    choices = list(known)
    folded = name.lower()
    ours = [folded, folded.replace("_", ""), *_OURS[what].get(folded, ())]
    found = next((choice for choice in ours if choice in choices and choice != name), None)
    return f"did you mean '{found}'?" if found else did_you_mean(name, choices)
