"""The closed list of operators. Names in a spec map through it and through nothing else."""

from __future__ import annotations

from types import MappingProxyType

from cnnspec.ops.activation import Identity, Relu, Relu6, Sigmoid, Softmax, Tanh
from cnnspec.ops.base import AbstractOp
from cnnspec.ops.conv import Conv
from cnnspec.ops.dense import Dense, Dropout, Flatten
from cnnspec.ops.merge import Add, Concat, Scale
from cnnspec.ops.norm import BatchNorm, Lrn
from cnnspec.ops.pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool

OPS: tuple[type[AbstractOp], ...] = (
    Conv,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    BatchNorm,
    Lrn,
    Dense,
    Flatten,
    Dropout,
    Relu,
    Relu6,
    Tanh,
    Sigmoid,
    Softmax,
    Identity,
    Add,
    Concat,
    Scale,
)
BY_NAME = MappingProxyType({op.op: op for op in OPS})
