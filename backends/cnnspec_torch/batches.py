"""Which samples come together, in which order, and how they become tensors."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from cnnspec import vision
from cnnspec.diagnostics import CnnspecError
from cnnspec_torch.augment import Augmented
from cnnspec_torch.watching import Watch, killed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec import datasets
    from cnnspec.recipe import Recipe
    from cnnspec.vision import Pixels

Loaded = tuple[Tensor, dict[str, Tensor], int]
"""Images [n, c, h, w], the truth of each, and how many images the batch has over all processes."""


@dataclass(frozen=True)
class Batch:
    """The positions of this process's samples of a batch, `whole` being those of all processes; height and width of the
    input, where they change."""

    epoch: int
    positions: list[int]
    whole: int
    size: tuple[int, int] | None = None


def stream(*numbers: int) -> int:
    """A seed of its own for every tuple of numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def reseed(seed: int, device: torch.device) -> None:
    """Begin the random numbers of the CPU, and of the device, anew. torch.manual_seed does so for every kind of device
    there could be, and keeps a traceback of each call for those that are not in use."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


class Order(Sampler[Batch]):
    """Batches of positions, from batch `done` of epoch `epoch` on; each epoch ends the iteration.

    With a seed they are shuffled: epoch e's order comes from (seed, e) and the samples' `index` among all of the part,
    so that leaving some out does not change the others' order. Of several processes each gets its share of every batch.
    `sizes` are drawn from (seed, e, batch), anew every so many batches.
    """

    def __init__(
        self,
        part: datasets.Part,
        batch: int,
        seed: int | None = None,
        rank: int = 0,
        processes: int = 1,
        sizes: Sequence[tuple[int, int]] = (),
        every: int = 1,
    ) -> None:
        self.index, self.total = part.index, part.total
        self.batch, self.seed, self.rank, self.processes = batch, seed, rank, processes
        self.sizes, self.every = sizes, every
        self.epoch, self.done = 0, 0

    @property
    def steps(self) -> int:
        """Batches of an epoch. A last batch too small for batch normalization, or for all processes, is left out."""
        number, least = len(self.index), max(min(2, self.batch), self.processes) if self.seed is not None else 1
        whole, rest = divmod(number, self.batch)
        return whole + (rest >= least or (rest > 0 and not whole))

    def positions(self, epoch: int) -> NDArray[np.int64]:
        if self.seed is None:
            return np.arange(len(self.index))
        place = np.full(self.total, -1)
        place[self.index] = np.arange(len(self.index))
        order = place[np.random.default_rng((self.seed, epoch)).permutation(self.total)]
        return order[order >= 0]

    def __iter__(self) -> Iterator[Batch]:
        epoch, order = self.epoch, self.positions(self.epoch)
        for number in range(self.done, self.steps):
            together = order[number * self.batch : (number + 1) * self.batch]
            if mine := together[self.rank :: self.processes].tolist():
                yield Batch(epoch, mine, len(together), self._size(epoch, number // self.every))

    def _size(self, epoch: int, turn: int) -> tuple[int, int] | None:
        if not self.sizes or self.seed is None:
            return None
        return self.sizes[int(np.random.default_rng((self.seed, epoch, turn, 2)).integers(len(self.sizes)))]


class Samples(Dataset[Loaded]):
    """A part of the data as batches; training ones are changed as the recipe says, where `seed` is given."""

    def __init__(
        self,
        part: datasets.Part,
        recipe: Recipe,
        mean: list[float],
        std: list[float],
        needs: frozenset[str],
        size: tuple[int, int],
        seed: int | None = None,
    ) -> None:
        self.part, self.mean, self.std, self.needs, self.seed = part, mean, std, needs, seed
        self.shift = recipe.augment.shift if seed is not None else 0
        dense = bool(needs & {"box", "boxes", "masks"})
        alone = recipe.augment.shifts_alone and recipe.sizes is None
        random = seed is not None and (not alone or (dense and self.shift > 0))
        own_sizes = isinstance(part.images.kept, list)
        self.one_by_one = Augmented(part, recipe, needs, random) if random or dense or own_sizes else None
        self.size, self.kept = size, (-1, np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, batch: Batch) -> Loaded:
        try:
            return self.load(batch)
        except CnnspecError as error:
            if get_worker_info() is None:
                raise
            return error  # type: ignore[return-value]  # `Loader` raises it; torch would, with a traceback for a message

    def load(self, batch: Batch) -> Loaded:
        positions = batch.positions
        index = self.part.index[positions]
        if self.one_by_one is not None:
            seeds = [stream(self.seed, batch.epoch, one) if self.seed is not None else 0 for one in index.tolist()]
            images, targets = self.one_by_one(positions, seeds, batch.size or self.size)
        else:
            images, targets = self.part.images[positions], {}
            if self.shift:
                images = moved(images, self._moves(batch.epoch)[index])
        if "classes" in self.needs:
            assert self.part.classes is not None  # asked for by `Wanted.kinds`
            targets["classes"] = torch.from_numpy(self.part.classes[positions])
        targets["index"] = torch.as_tensor(positions)
        return torch.from_numpy(vision.normalize(images, self.mean, self.std)), targets, batch.whole

    def _moves(self, epoch: int) -> NDArray[np.int64]:
        """Rows and columns by which each sample of the part is moved in an epoch."""
        if self.kept[0] != epoch:
            assert self.seed is not None
            random = np.random.default_rng((self.seed, epoch, 1))
            self.kept = epoch, random.integers(-self.shift, self.shift, (self.part.total, 2), endpoint=True)
        return self.kept[1]


def moved(images: Pixels, moves: NDArray[np.int64]) -> Pixels:
    """Images [n, h, w, c] moved by (rows, columns) of `moves` [n, 2]; what comes in is black."""
    number, height, width, _ = images.shape
    most = int(np.abs(moves).max())
    wide = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    rows = np.arange(height) + most - moves[:, :1]
    columns = np.arange(width) + most - moves[:, 1:]
    moved: Pixels = wide[np.arange(number)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved


class Loader(DataLoader[Loaded]):
    """Raises what a worker could not read as it would be raised here, and names the signal that ended a worker."""

    def __iter__(self) -> Iterator[Loaded]:  # type: ignore[override]
        found = super().__iter__()
        workers = getattr(found, "_workers", ())
        watch = Watch(found, self.timeout) if workers else None
        try:
            while True:
                with watch.waiting() if watch else nullcontext():
                    batch = next(found, None)
                if batch is None:
                    return
                if isinstance(batch, CnnspecError):
                    raise batch
                yield batch
        except (RuntimeError, OSError, EOFError) as error:
            if watch and watch.struck:
                raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds") from None  # in torch's words
            told = not isinstance(error, RuntimeError) or any(words in str(error) for words in ENDED)
            if not workers or not told:
                raise
            if not (dead := killed(found, GONE)):  # one that was handing over is heard of before it is gone
                raise
            said = signal.strsignal(-dead[0].exitcode)  # as torch says it where it has heard of the signal
            raise RuntimeError(f"DataLoader worker (pid {dead[0].pid}) is killed by signal: {said}. ") from None
        finally:
            if watch:
                watch.over.set()


def loader(samples: Samples, order: Order, workers: int = 0, pinned: bool = False) -> DataLoader[Loaded]:
    """Batches in order. What workers give does not depend on how many they are."""
    return Loader(
        samples,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_alone if workers else None,
        timeout=TIMEOUT if workers else 0,
        pin_memory=pinned,
        generator=torch.Generator(),  # its own: each epoch draws a number that would come from the caller's
    )


TIMEOUT = 60
"""Seconds that the data of one batch may take in a worker."""
GONE = 2
"""Seconds that a worker whose connection broke has to end."""
ENDED = ("exited unexpectedly", "is killed by signal")
"""What torch says of a worker that has ended."""


def _alone(worker: int) -> None:
    """One thread; signals to the whole group of processes are for the one that reads from here."""
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def pieces(images: Tensor, targets: dict[str, Tensor], number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """A batch in so many pieces, or fewer where it has fewer images."""
    if number == 1:
        yield images, targets
        return
    size = -(-len(images) // number)
    for start in range(0, len(images), size):
        some = {name: one[start : start + size] for name, one in targets.items() if name not in ("boxes", "difficult")}
        if "boxes" in targets:
            of = targets["boxes"][:, 0]
            here = (of >= start) & (of < start + size)
            some["boxes"], some["difficult"] = targets["boxes"][here].clone(), targets["difficult"][here]
            some["boxes"][:, 0] -= start
        yield images[start : start + size], some
