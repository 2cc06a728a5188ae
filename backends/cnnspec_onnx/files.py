"""Models as files. Above protobuf's 2 GB the tensors go into a second file beside, written first."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from onnx import ModelProto, StringStringEntryProto, TensorProto

from cnnspec import durable
from cnnspec.diagnostics import RunError

MESSAGE = 2**31 - 2**20
"""What a protobuf message may hold, less room for all that is no tensor."""
PAGE = 4096
"""Tensors begin at multiples of this, so that a runtime can map them into memory."""


def save(model: ModelProto, path: Path, limit: int = MESSAGE) -> list[Path]:
    """Write a model, whole or not at all; gives the files. Raises RunError where they cannot be written.

    The model's tensors are moved out of it: save it last. Above `limit` bytes they lie in a file that bears a part of
    its digest, so that a model that was there before keeps the data it has.
    """
    tensors = [tensor for tensor in model.graph.initializer if len(tensor.raw_data) >= PAGE]
    size = sum(len(tensor.raw_data) for tensor in tensors)
    if size <= limit:
        durable.write(path, _parts(model), size)
        return [path]
    digest = sha256()
    for tensor in tensors:
        digest.update(tensor.raw_data)
    beside = path.with_name(f"{path.name}.{digest.hexdigest()[:12]}.data")
    size = sum(-(-len(tensor.raw_data) // PAGE) for tensor in tensors) * PAGE
    old = beside.exists()
    durable.write(beside, _moved(tensors, beside.name), size)
    try:
        durable.write(path, model.SerializeToString())
    except RunError:
        if not old:
            beside.unlink()
        raise
    return [path, beside]


def _parts(model: ModelProto) -> Iterator[bytes]:
    """The message piece by piece, which takes less memory and time; a reader merges messages that stand in a row."""
    tensors = list(model.graph.initializer)
    del model.graph.initializer[:]
    yield model.SerializeToString()
    for tensor in tensors:  # as ModelProto(graph=GraphProto(initializer=[tensor])), which would copy it thrice
        data = tensor.SerializeToString()
        head = _INITIALIZER + _varint(len(data))
        yield _GRAPH + _varint(len(head) + len(data)) + head
        yield data


_GRAPH, _INITIALIZER = (bytes([field << 3 | 2]) for field in (7, 5))
"""Protobuf's tags of ModelProto.graph and GraphProto.initializer: field number and kind, length before content."""


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first, the eighth says that more follow."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _moved(tensors: list[TensorProto], name: str) -> Iterator[bytes]:
    """The tensors' bytes one after another, each left with its place in the file instead."""
    offset = 0
    for tensor in tensors:
        data = tensor.raw_data
        yield data
        yield bytes(-len(data) % PAGE)
        place = {"location": name, "offset": str(offset), "length": str(len(data))}
        offset += -(-len(data) // PAGE) * PAGE
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.extend(StringStringEntryProto(key=key, value=value) for key, value in place.items())
