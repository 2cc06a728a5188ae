"""Which samples come together: by seed, epoch and sample alone."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import resource_sharer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import cnnspec
from cnnspec import datasets, recipe
from cnnspec.datasets.digits import digits
from cnnspec.diagnostics import UsageError
from cnnspec_torch import batches, scales
from cnnspec_torch.batches import Batch, Order, Samples
from door import write


def part(number: int, without: tuple[int, ...] = ()) -> datasets.Part:
    """Digits of scikit-learn's, some left out as bad samples are."""
    images, classes = digits()
    index = np.asarray([i for i in range(number) if i not in without], np.int64)
    kept = np.stack([images[i] for i in index])
    sizes = np.full((len(index), 2), 8)
    found = datasets.Images(len(index), lambda i: kept[i], kept)
    return datasets.Part(found, classes[index], str, index, number, sizes)


def test_the_order_is_the_epoch_s_and_the_seed_s() -> None:
    order = Order(part(10), 4, seed=3)
    first = list(order)
    assert sorted(position for batch in first for position in batch.positions) == list(range(10))
    assert first == list(Order(part(10), 4, seed=3))
    order.epoch = 1
    assert first != list(order)
    assert [batch.positions for batch in Order(part(10), 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_an_order_begins_where_it_is_told() -> None:
    order = Order(part(50), 8, seed=3)
    whole = list(order)
    for done in range(len(whole) + 1):
        order.done = done
        assert list(order) == whole[done:]


def test_what_is_left_out_does_not_change_the_others_order_or_moves() -> None:
    whole, less = part(30), part(30, without=(0, 7, 29))
    both = [[at.index[p] for b in Order(at, 4, seed=1) for p in b.positions] for at in (whole, less)]
    assert [i for i in both[0] if i not in (0, 7, 29)] == both[1]
    made = recipe.load("classify")
    moved = [Samples(at, made, [0.0], [1.0], frozenset({"classes"}), (8, 8), 5) for at in (whole, less)]
    images = [one[Batch(2, [list(at.index).index(11)], 1)][0] for one, at in zip(moved, (whole, less), strict=True)]
    assert torch.equal(*images)


def test_processes_share_every_batch() -> None:
    whole = list(Order(part(41), 8, seed=1))
    shares = [list(Order(part(41), 8, 1, rank, 3)) for rank in range(3)]
    assert [len(share) for share in shares] == [len(whole)] * 3 == [5] * 3  # one sample is too few for three
    for number, batch in enumerate(whole):
        together = sorted(p for share in shares for p in share[number].positions)
        assert together == sorted(batch.positions)
        assert {share[number].whole for share in shares} == {len(batch.positions)}


@pytest.mark.parametrize(("number", "batch", "sizes"), [(9, 4, [4, 4]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1])])
def test_no_batch_of_one_is_left_over_in_training(number: int, batch: int, sizes: list[int]) -> None:
    order = Order(part(number), batch, seed=0)
    assert [len(one.positions) for one in order] == sizes
    assert order.steps == len(sizes)
    assert sum(len(one.positions) for one in Order(part(number), batch)) == number


def test_moved_images_take_in_black() -> None:
    images = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3, 1).repeat(2, axis=0)
    moved = batches.moved(images, np.array([[0, 1], [-1, 0]]))
    assert moved[0, ..., 0].tolist() == [[0, 1, 2], [0, 4, 5]]
    assert moved[1, ..., 0].tolist() == [[4, 5, 6], [0, 0, 0]]


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_pieces_are_the_batch(number: int) -> None:
    images = torch.arange(5.0)[:, None]
    boxes = torch.tensor([[0, 1, 0, 0, 0, 0], [3, 2, 0, 0, 0, 0], [3, 4, 0, 0, 0, 0]], dtype=torch.float32)
    hard = torch.tensor([True, False, True])
    targets = {"classes": torch.arange(5), "boxes": boxes, "difficult": hard}
    found = list(batches.pieces(images, targets, number))
    assert torch.equal(torch.cat([some for some, _ in found]), images)
    assert torch.equal(torch.cat([truth["classes"] for _, truth in found]), targets["classes"])
    starts = np.cumsum([0, *(len(some) for some, _ in found)]).tolist()
    back = [truth["boxes"] + torch.eye(6)[0] * s for s, (_, truth) in zip(starts, found, strict=False)]
    assert torch.equal(torch.cat(back), boxes)
    assert torch.equal(torch.cat([truth["difficult"] for _, truth in found]), hard)


def test_the_split_is_whole_fixed_and_in_proportion() -> None:
    _, classes = digits()
    parts = datasets.split(classes, (0.2, 0.1), 0)
    assert [len(part) for part in parts] == [359, 180, 1258]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))
    for one, share in zip(parts, (0.2, 0.1, 0.7), strict=True):
        assert np.abs(np.bincount(classes[one]) / np.bincount(classes) - share).max() < 0.01
    assert all(np.array_equal(a, b) for a, b in zip(parts, datasets.split(classes, (0.2, 0.1), 0), strict=True))
    assert not np.array_equal(parts[0], datasets.split(classes, (0.2, 0.1), 1)[0])


ANY = """\
cnnspec: 1
name: any
input: {image: [N, 1, 8*h, 8*w]}
typical: {h: 4, w: 6}
net: {scores: "image -> conv(2, 3, 8)"}
outputs: [scores]
"""


def test_sizes_of_the_input_come_from_seed_epoch_and_turn(tmp_path: Path) -> None:
    graph = cnnspec.compile(write(tmp_path, ANY))
    sizes = scales.legal(graph, [0.5, 1.5])
    assert sizes == [(16, 24), (24, 32), (32, 48), (40, 64), (48, 72)]
    order = Order(part(200), 5, 3, sizes=sizes, every=4)
    drawn = [batch.size for batch in order]
    assert len(set(drawn)) > 2
    assert all(len(set(drawn[turn : turn + 4])) == 1 for turn in range(0, 40, 4))
    shares = [Order(part(200), 5, 3, rank, 2, sizes, 4) for rank in range(2)]
    assert all([batch.size for batch in share] == drawn for share in shares)
    order.done = 7
    assert [batch.size for batch in order] == drawn[7:]


def test_sizes_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    graph = cnnspec.compile(write(tmp_path, ANY))
    with pytest.raises(UsageError, match=r"no size of any lies between 0\.9 and 0\.95 of the usual"):
        scales.legal(graph, [0.9, 0.95])
    fixed = cnnspec.compile(write(tmp_path, ANY.replace("8*h, 8*w", "32, 48").replace("typical: {h: 4, w: 6}\n", "")))
    with pytest.raises(UsageError, match=r"recipe\.sizes is for inputs of any size, that of any is 32 x 48"):
        scales.legal(fixed, [0.5, 1])


class StopsInHandingOver(Dataset[Any]):
    """Its worker gets a signal once the reader asks for the memory that a batch lies in."""

    def __init__(self, fate: signal.Signals) -> None:
        self.fate = fate

    def __getitem__(self, index: int) -> torch.Tensor:
        fate = self.fate

        def serve(self: Any) -> None:
            asking = self._listener._listener.accept()
            os.kill(os.getpid(), fate)
            time.sleep(60)  # it may take a moment
            asking.close()

        resource_sharer._ResourceSharer._serve = serve  # type: ignore[attr-defined]
        return torch.zeros(1000)

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        (signal.SIGSTOP, "DataLoader timed out after 1 seconds"),
        (signal.SIGKILL, r"DataLoader worker \(pid \d+\) is killed by signal: Killed"),
    ],
)
def test_a_worker_that_stops_in_handing_over_is_not_waited_for(fate: signal.Signals, said: str) -> None:
    reading = batches.Loader(StopsInHandingOver(fate), batch_size=None, num_workers=1, timeout=1)
    with pytest.raises(RuntimeError, match=said):
        list(reading)
