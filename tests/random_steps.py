"""One random call of every operator that takes one tensor, and the type it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from hypothesis import strategies as st

from cnnspec.tensor import Dim, TensorType
from random_pen import Misfit, Pen, divisor, nested, padding, some, window

WRITTEN = 40
"""The most channels for which numbers are written out."""
Typed = tuple[str, TensorType]
Step = Callable[[Pen, TensorType, bool], Typed]
"""The text of a call on a tensor and the type it gives; where the flag is set, the tensor's own type if it can."""


# Convolutions


def conv(pen: Pen, x: TensorType, keep: bool) -> Typed:
    swept = window(pen, x, keep)
    filters = x.channels if keep else pen.pick(4, 1, 2, 3, 6)
    groups = divisor(pen, x.channels, filters) if pen.chance(3) else 1
    words = some(pen, bias=pen.pick("false", "true"), init=pen.pick("'he'", "'glorot'", "'lecun'", "0.5"))
    if groups > 1:
        words["groups"] = pen.number(groups)
    elif pen.chance(6):
        words["table"] = str([sorted({pen.pick(*range(x.channels)) for _ in range(3)}) for _ in range(filters)])
    elif pen.chance(6) and prod(swept.kernel) < 30:
        full = (filters, x.channels, *swept.kernel)
        words = {"bias": "false", "weights": nested(pen, full if prod(full) < 40 else (filters, *swept.kernel))}
    return pen.call("conv", filters=pen.number(filters), **swept.text, **words), swept.over(x, filters)


def depthwise(pen: Pen, x: TensorType, keep: bool) -> Typed:
    swept = window(pen, x, keep)
    times = 1 if keep else pen.pick(2, 1, 3)
    words = some(pen, bias=pen.pick("false", "true")) | ({"multiplier": pen.number(times)} if times > 1 else {})
    return pen.call("depthwise", **swept.text, **words), swept.over(x, x.channels * times)


def transposed_conv(pen: Pen, x: TensorType, keep: bool) -> Typed:
    kernel, dilation = pen.axes(x, 3, 1, 2, 4), pen.axes(x, 1, 1, 2)
    stride = (1,) * len(kernel) if keep else pen.axes(x, 2, 1, 3)
    filters = x.channels if keep else pen.pick(4, 1, 2, 3, 6)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    form = "same" if keep else pen.pick("valid", "same", "number", "axes", "sides")
    words = {"kernel": pen.numbers(kernel), "stride": pen.numbers(stride), "dilation": pen.numbers(dilation)}
    more = (0,) * len(kernel)
    if form == "same":
        words["padding"], sizes = form, [n * s for n, s in zip(x.spatial, stride, strict=True)]
    else:
        words["padding"], pads = padding(pen, x, form, reach, stride, 2)
        if pen.chance(2):
            more = tuple(pen.pick(*range(max(pair))) for pair in zip(stride, dilation, strict=True))
            words["output_padding"] = pen.numbers(more)
        bounds = zip(x.spatial, stride, reach, pads, more, strict=True)
        sizes = [(n - 1) * s + (e - before - after + add) for n, s, e, (before, after), add in bounds]
    if pen.chance(3):
        words["groups"] = pen.number(divisor(pen, x.channels, filters))
    words |= some(pen, bias=pen.pick("false", "true"), init=pen.pick("'he'", "'glorot'", "'lecun'", "0.5"))
    if filters == x.channels and pen.chance(3):
        words["init"] = "'bilinear'"
    return pen.call("transposed_conv", filters=pen.number(filters), **words), x.with_spatial(filters, sizes)


# Pools


def pool(op: str) -> Step:
    def draw(pen: Pen, x: TensorType, keep: bool) -> Typed:
        swept, ceil = window(pen, x, keep, pool=True), not keep and pen.chance(2)
        words = {"ceil": "true"} if ceil else some(pen, ceil="false")
        return pen.call(op, **swept.text, **words), swept.over(x, x.channels, ceil=ceil)

    return draw


def channel_pool(op: str) -> Step:
    def draw(pen: Pen, x: TensorType, keep: bool) -> Typed:
        kernel = pen.pick(*range(1, x.channels + 1))
        stride = pen.pick(kernel, 1, 2, 3)
        words = {"stride": pen.number(stride)} if stride != kernel or pen.chance(3) else {}
        maps = len(range(0, x.channels - kernel + 1, stride))
        return pen.call(op, kernel=pen.number(kernel), **words), x.with_spatial(maps, x.spatial)

    return draw


def global_pool(op: str) -> Step:
    def draw(pen: Pen, x: TensorType, keep: bool) -> Typed:
        kept = pen.chance(3)
        words = {"keepdims": "true"} if kept else some(pen, keepdims="false")
        return pen.call(op, **words), x.with_spatial(x.channels, [1 for _ in x.spatial] if kept else [])

    return draw


def adaptive_avgpool(pen: Pen, x: TensorType, keep: bool) -> Typed:
    sizes = [pen.pick(2, 1, 3, 5) if isinstance(n, int) else 1 for n in x.spatial]
    return pen.call("adaptive_avgpool", size=pen.numbers(sizes)), x.with_spatial(x.channels, sizes)


# What keeps the type


def plain(op: str, **fields: Sequence[str]) -> Step:
    """Any tensor, its type kept; each field is given at times."""

    def draw(pen: Pen, x: TensorType, keep: bool) -> Typed:
        return pen.call(op, **some(pen, **{name: pen.pick(*texts) for name, texts in fields.items()})), x

    return draw


def grouped(op: str) -> Step:
    def draw(pen: Pen, x: TensorType, keep: bool) -> Typed:
        return pen.call(op, groups=pen.number(divisor(pen, x.channels))), x

    return draw


def normalize(pen: Pen, x: TensorType, keep: bool) -> Typed:
    if x.channels > WRITTEN:
        raise Misfit
    mean, std = (str([0.5] * x.channels) if pen.chance(2) else "0.25" for _ in range(2))
    return pen.call("normalize", mean=mean, std=std), x


def stochastic_depth(pen: Pen, x: TensorType, keep: bool) -> Typed:
    return pen.call("stochastic_depth", rate=pen.pick("0", "0.5")), x


# Vectors


def dense(pen: Pen, x: TensorType, keep: bool) -> Typed:
    features = x.channels if keep else pen.pick(3, 1, 2, 5, 8)
    words = some(pen, bias=pen.pick("false", "true"), init=pen.pick("'he'", "'glorot'", "'lecun'", "0"))
    return pen.call("dense", features=pen.number(features), **words), x.with_spatial(features, [])


def distance(pen: Pen, x: TensorType, keep: bool) -> Typed:
    if x.channels > WRITTEN:
        raise Misfit
    classes = pen.pick(2, 1, 3)
    codes = str([[(row + column) % 3 - 1 for column in range(x.channels)] for row in range(classes)])
    return pen.call("distance", codes=codes), x.with_spatial(classes, [])


# Shapes


def fixed(x: TensorType) -> int:
    """The values of an image, whose sizes must be numbers."""
    if any(isinstance(size, Dim) for size in x.shape[1:]):
        raise Misfit
    return prod(size for size in x.shape[1:] if isinstance(size, int))


def flatten(pen: Pen, x: TensorType, keep: bool) -> Typed:
    return "flatten", x.with_spatial(fixed(x), [])


def reshape(pen: Pen, x: TensorType, keep: bool) -> Typed:
    sizes = [fixed(x)]
    for _ in range(pen.pick(1, 2, 3, 0)):
        first = divisor(pen, sizes[-1])
        sizes[-1:] = [first, sizes[-1] // first]
    texts = [pen.number(size) for size in sizes]
    if pen.chance(2):
        texts[pen.pick(*range(len(texts)))] = "-1"
    return pen.call("reshape", size=f"[{', '.join(texts)}]"), TensorType((x.shape[0], *sizes))


def permute(pen: Pen, x: TensorType, keep: bool) -> Typed:
    order = pen.draw(st.permutations(range(1, x.rank)))
    if isinstance(x.shape[order[0]], Dim):
        raise Misfit
    return pen.call("permute", order=str([0, *order])), TensorType(tuple(x.shape[axis] for axis in (0, *order)))


def upsample(pen: Pen, x: TensorType, keep: bool) -> Typed:
    factors = pen.axes(x, 2, 1, 3)
    sizes = [n * factor for n, factor in zip(x.spatial, factors, strict=True)]
    words = some(pen, mode=pen.pick("'nearest'", "'bilinear'"))
    return pen.call("upsample", factor=pen.numbers(factors), **words), x.with_spatial(x.channels, sizes)


def pad(pen: Pen, x: TensorType, keep: bool) -> Typed:
    ones = (1,) * len(x.spatial)
    text, pads = padding(pen, x, pen.pick("number", "axes", "sides"), ones, ones, 2)
    sizes = [n + sum(pair) for n, pair in zip(x.spatial, pads, strict=True)]
    return pen.call("pad", size=text, **some(pen, value="-1.5")), x.with_spatial(x.channels, sizes)


def channels(pen: Pen, x: TensorType, keep: bool) -> Typed:
    start = pen.pick(*range(x.channels))
    stop = pen.pick(*range(start + 1, x.channels + 1))
    return pen.call("channels", start=pen.number(start), stop=pen.number(stop)), x.with_spatial(stop - start, x.spatial)


def pixel_shuffle(pen: Pen, x: TensorType, keep: bool) -> Typed:
    factor = pen.pick(*(f for f in (2, 3, 1) if x.channels % f**2 == 0))
    return pen.call("pixel_shuffle", factor=pen.number(factor)), x.with_spatial(
        x.channels // factor**2, [n * factor for n in x.spatial]
    )


# The table

SWEPT: dict[str, Step] = {"conv": conv, "depthwise": depthwise, "transposed_conv": transposed_conv}
POOLS: dict[str, Step] = {op: pool(op) for op in ("maxpool", "avgpool")}
REDUCING: dict[str, Step] = {op: global_pool(op) for op in ("global_avgpool", "global_maxpool")}
SHAPES: dict[str, Step] = {"upsample": upsample, "pad": pad, "channels": channels, "permute": permute}
FIXED: dict[str, Step] = {"flatten": flatten, "reshape": reshape}
VECTORS: dict[str, Step] = {"dense": dense, "distance": distance}
NORMS: dict[str, Step] = {
    "batchnorm": plain("batchnorm", eps=["1e-3"], momentum=["0.01"]),
    "layernorm": plain("layernorm", eps=["1e-6"]),
    "groupnorm": grouped("groupnorm"),
    "channel_affine": plain("channel_affine", bias=["false", "true"], start=["0.5"]),
    "normalize": normalize,
}
KEEPING: dict[str, Step] = {
    "dropout": plain("dropout", rate=["0.25"]),
    "stochastic_depth": stochastic_depth,
    "channel_shuffle": grouped("channel_shuffle"),
}
ACTIVATIONS: dict[str, Step] = {
    **{op: plain(op) for op in ("relu", "relu6", "selu", "silu", "mish", "scaled_tanh", "tanh", "sigmoid")},
    **{op: plain(op) for op in ("hard_swish", "hard_sigmoid", "softmax", "identity")},
    "leaky_relu": plain("leaky_relu", slope=["0.1"]),
    "prelu": plain("prelu", shared=["true"]),
    "elu": plain("elu", alpha=["0.5"]),
    "gelu": plain("gelu", approximate=["true"]),
}
LRN: dict[str, Step] = {"lrn": plain("lrn", size=["3"], alpha=["2e-5"], beta=["0.5"], k=["2"])}
CHANNEL_POOLS: dict[str, Step] = {op: channel_pool(op) for op in ("channel_maxpool", "channel_avgpool")}
UNARY = SWEPT | POOLS | REDUCING | SHAPES | FIXED | VECTORS | NORMS | KEEPING | ACTIVATIONS | LRN | CHANNEL_POOLS
UNARY |= {"adaptive_avgpool": adaptive_avgpool, "pixel_shuffle": pixel_shuffle}


def families(x: TensorType, keep: bool) -> list[Mapping[str, Step]]:
    """What takes a tensor of this rank, the commonest first; with `keep` what can give its type again."""
    mapped, vector = 3 <= x.rank <= 5, x.rank == 2
    found: list[Mapping[str, Step]] = [ACTIVATIONS, ACTIVATIONS, NORMS, KEEPING]
    if mapped:
        found = [SWEPT, SWEPT, POOLS, LRN, *found]
    if vector:
        found.append({"dense": dense} if keep else VECTORS)
    if keep:
        return found
    found += [SHAPES if mapped else {"channels": channels, "permute": permute}, CHANNEL_POOLS]
    if mapped:
        found += [REDUCING | {"adaptive_avgpool": adaptive_avgpool}]
    if x.rank == 4:
        found.append({"pixel_shuffle": pixel_shuffle})
    if not TensorType(x.shape[1:]).symbols:
        found.append(FIXED)
    return found


def operator(pen: Pen, x: TensorType, keep: bool = False) -> Typed:
    """A random call and the type it gives; raises Misfit where what was drawn does not fit."""
    family = pen.pick(*families(x, keep))
    text, y = family[pen.pick(*family)](pen, x, keep)
    if keep and y != x:
        raise Misfit
    return text, pen.checked(y)
