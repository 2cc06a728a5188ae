"""The network in training: what Lightning's trainer calls for every batch and epoch.

The step is ours (manual optimization), so that a run can go on from any step exactly as if it had not stopped: every
random number of step s comes from (seed, s), rates are functions of the step, and `Position` holds the rest.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import MixUp

from cnnspec.diagnostics import RunError
from cnnspec_torch import checkpoints, faults, optimizing
from cnnspec_torch.batches import Loaded, Order, pieces, reseed, stream
from cnnspec_torch.checkpoints import Position
from cnnspec_torch.tasks import Task

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe, Stage
    from cnnspec_torch.book import Book
    from cnnspec_torch.signals import Signals

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
STILL = 10
"""Steps in a row that may be skipped for numbers that are not finite."""


class Network(pl.LightningModule):
    """A lowered graph with its tasks. `stage` is set before each phase's fit."""

    def __init__(
        self,
        graph: Graph,
        recipe: Recipe,
        tasks: tuple[tuple[Task, float], ...],
        order: Order,
        validation: DataLoader[Loaded],
        book: Book,
        signals: Signals,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.graph, self.recipe, self.tasks, self.book, self.signals = graph, recipe, tasks, book, signals
        self.order, self.validation = order, validation
        self.net = graph.lower("torch", recipe.seed)
        if recipe.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.call = torch.compile(self.net) if recipe.compile else self.net
        self.position = Position(hash=graph.hash, samples=len(order.index))
        self.average = optimizing.Average(recipe.ema) if recipe.ema else None
        self.resumed: dict[str, Tensor] = {}
        self.stage: Stage = recipe.stages[0]
        self.dtype_of_step = DTYPES[recipe.precision]
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.still, self.waited, self.trained, self.left = 0, 0.0, 0.0, 0.0
        self.saved = self.began = time.monotonic()
        self.mix = MixUp(alpha=recipe.mixup, num_classes=tasks[0][0].classes) if recipe.mixup else None  # type: ignore[attr-defined]

    # -- Lightning's hooks

    def configure_optimizers(self) -> Any:
        return optimizing.optimizer(self.net, self.stage)

    def on_fit_start(self) -> None:
        if self.signals.before:
            self.signals.take()  # from Lightning, whose handler of SIGTERM ends the run in mid-step and other processes
        self.train()  # the phase before may have left frozen normalizations in evaluation mode
        device = self.device.type
        half = self.dtype_of_step is torch.float16
        self.scaler = torch.amp.GradScaler(device, enabled=half)
        if half and self.position.scale is not None:
            self.scaler.load_state_dict(
                {**self.scaler.state_dict(), "scale": self.position.scale, "_growth_tracker": self.position.growth}
            )
        if self.average:
            self.average.bind(self.net)
        self._put_back()

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        if mode:
            optimizing.rest(self.net)
        return self

    def on_train_epoch_start(self) -> None:
        self.left = time.perf_counter()

    def training_step(self, batch: Loaded, index: int) -> None:
        start = time.perf_counter()
        images, targets, whole = batch
        made, position = self._optimizer(), self.position
        rate = self._set_rates(made, position.steps_in_phase)
        buffers = [one.clone() for one in self.net.buffers()] if self.recipe.on_nan == "skip" else []
        reseed(stream(self.recipe.seed, position.step, self.global_rank), self.device)
        loss, norm = self._gradients(made, images, targets, whole)
        if not self._finite(loss, norm):
            self._bad(batch, rate, loss, buffers)
        else:
            self.still = 0
            if self.recipe.clip is not None:
                torch.nn.utils.clip_grads_with_norm_(self._trained(), self.recipe.clip, norm)
            self.scaler.step(made)
            self.scaler.update()
            if self.average:
                self.average.update()
            position.loss += float(loss) * whole
            position.images += whole
        position.step, position.batch = position.step + 1, position.batch + 1
        position.steps_in_phase += 1
        self.waited, self.trained = self.waited + start - self.left, self.trained + time.perf_counter() - start
        step = {"epoch": position.epoch + 1, "step": position.step, "loss": float(loss), **self._speed()}
        self.book.report({"event": "step", **step})
        self._pause()
        self.left = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        position = self.position
        found = self.judge(self.validation)
        self._set_rates(made := self._optimizer(), position.steps_in_phase - 1)  # a run may go on from here
        row: dict[str, float] = {
            "epoch": position.epoch + 1,
            "loss": round(self._mean_loss(), 6),
            **{f"validation_{name}": round(value, 6) for name, value in found.items()},
            "lr": round(float(made.param_groups[0]["lr"]), 9),
        }
        row |= self._speed()
        position.seconds = round(time.monotonic() - self.began, 3)
        with self.average.in_place() if self.average else nullcontext():
            position.rows.append(self.book.epoch(row, position, self.net))
        position.epoch, position.batch, position.loss, position.images = position.epoch + 1, 0, 0.0, 0
        self.waited = self.trained = 0.0
        self.order.epoch, self.order.done = position.epoch, 0
        self.save()
        if self.book.stale(position.rows) >= (self.recipe.patience or len(position.rows) + 1):
            self.trainer.should_stop = True
        self._pause()

    # -- one step

    def _gradients(self, made: Any, images: Tensor, targets: dict[str, Tensor], whole: int) -> tuple[Tensor, Tensor]:
        """The loss of the batch and the norm of its gradients, which are left in place."""
        if self.mix is not None:
            images, mixed = self.mix(images, targets["classes"])
            targets = {**targets, "classes": mixed}
        made.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        for some, truth in pieces(images, targets, self.recipe.accumulate):
            share = len(some) / whole * self.trainer.world_size
            with self._cast():
                loss = self._loss(some, truth) * share
            self.manual_backward(self.scaler.scale(loss))
            total += loss.detach()
        if self.scaler.is_enabled():
            self.scaler.unscale_(made)
        return total, torch.nn.utils.get_total_norm([one.grad for one in self._trained() if one.grad is not None])

    def _finite(self, loss: Tensor, norm: Tensor) -> bool:
        """Whether the step may be taken; all processes do the same."""
        found = bool(torch.isfinite(loss)) and (self.scaler.is_enabled() or bool(torch.isfinite(norm)))
        if self.trainer.world_size > 1:
            found = bool(self.trainer.strategy.reduce(torch.tensor(int(found), device=self.device), reduce_op="min"))
        return found

    def _loss(self, images: Tensor, targets: dict[str, Tensor]) -> Tensor:
        outputs = self.outputs(images)
        return torch.stack([weight * _sum(task.loss(outputs, targets)) for task, weight in self.tasks]).sum()

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """What the network gives, by output name."""
        if self.recipe.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        found = self.call(images)
        return found if isinstance(found, dict) else {self.graph.outputs[0].name: found}

    def _cast(self) -> AbstractContextManager[object]:
        if self.dtype_of_step is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype_of_step)

    def _set_rates(self, made: Any, step: int) -> float:
        steps = self.stage.epochs * self.order.steps
        rate = self.stage.lr * self.stage.rate(min(step, steps - 1), steps)
        for group in made.param_groups:
            group["lr"] = rate * group["factor"]
        return rate

    def _bad(self, batch: Loaded, rate: float, loss: Tensor, buffers: list[Tensor]) -> None:
        """A step whose loss or gradients are not finite: skipped as if it had not been, or the end of the run."""
        self.still += 1
        message = faults.not_finite(self, batch, rate, loss)
        if self.recipe.on_nan == "stop" or self.still > STILL:
            raise RunError(message, faults.lower_rate(self.recipe, self.position.phase))
        with torch.no_grad():
            for buffer, before in zip(self.net.buffers(), buffers, strict=True):
                buffer.copy_(before)
        self.position.skipped += 1
        self.book.event({"event": "warning", "message": f"{message}: the step is skipped"})

    def _trained(self) -> list[torch.nn.Parameter]:
        return [one for one in self.net.parameters() if one.requires_grad]

    def _optimizer(self) -> Any:
        return self.optimizers(use_pl_optimizer=False)

    def _speed(self) -> dict[str, float]:
        """Images a second of the epoch so far, and the share of that time spent waiting for them."""
        seconds = self.waited + self.trained
        speed = self.position.images / seconds if seconds else 0.0
        return {"images_per_second": round(speed, 1), "waiting": round(self.waited / seconds, 4) if seconds else 0.0}

    def _mean_loss(self) -> float:
        self._share_sums()
        return self.position.loss / max(self.position.images, 1)

    def _share_sums(self) -> None:
        """Let every process hold the mean of their sums of losses."""
        if self.trainer.world_size > 1:
            mine = torch.tensor(self.position.loss, dtype=torch.float64, device=self.device)
            self.position.loss = float(self.trainer.strategy.reduce(mine, reduce_op="mean"))

    # -- judging

    @torch.no_grad()
    def judge(self, loader: DataLoader[Loaded]) -> dict[str, float]:
        """The mean loss and every task's metrics over a loader; metrics bear their head's name where there are several.

        Where a signal asks to leave, a checkpoint is written before. Raises RunError where the loss is not finite.
        """
        self.net.eval()
        several = self.processes > 1
        if several:
            for buffer in self.net.buffers():  # each has seen other images
                torch.distributed.broadcast(buffer, 0)
        total = torch.zeros(2, dtype=torch.float64, device=self.device)
        with self.average.in_place() if self.average else nullcontext():
            for batch in loader:
                images, targets, _ = self.transfer_batch_to_device(batch, self.device, 0)
                with self._cast():
                    outputs = self.outputs(images)
                for task, weight in self.judged:
                    task.update(outputs, targets)
                    total[0] += weight * _sum(task.loss(outputs, targets)) * len(images)
                total[1] += len(images)
                if self.signals.asked and not several:  # several leave together, after a step
                    break
        self.train()
        if self.signals.asked and not several:
            self.save()
            self.signals.leave()
        if several:
            torch.distributed.all_reduce(total)
        loss, images_seen = total.tolist()
        if not torch.isfinite(total[0]):
            where = f"after epoch {self.position.epoch + 1}, learning rate up to {self.stage.lr:.3g}"
            message = f"the validation loss is {loss / images_seen} {where}"
            raise RunError(message, faults.lower_rate(self.recipe, self.position.phase))
        found = {"loss": loss / images_seen}
        for task, _ in self.judged:
            named = len(self.judged) > 1
            found |= {(f"{task.head}_{name}" if named else name): value for name, value in task.compute().items()}
        return found

    @property
    def processes(self) -> int:
        """How many train together; alone, where none have begun to."""
        return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1

    @property
    def judged(self) -> list[tuple[Task, float]]:
        """The tasks whose outputs are there in inference too."""
        there = self.graph.inference().heads
        return [(task, weight) for task, weight in self.tasks if task.head in there]

    # -- going on

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        self._share_sums()
        if not self.trainer.is_global_zero:
            return
        position = self.position
        if self.scaler.is_enabled():
            state = self.scaler.state_dict()
            position.scale, position.growth = state["scale"], state["_growth_tracker"]
        tensors = {f"net/{name}": tensor for name, tensor in self.net.state_dict().items()}
        tensors |= {f"optimizer/{k}": v for k, v in optimizing.named_state(self.net, self._optimizer()).items()}
        if self.average:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.kept.items()}
        self.saved = time.monotonic()
        position.seconds = round(self.saved - self.began, 3)
        checkpoints.save(self.book.folder, self.graph, self.recipe, position, tensors)

    def resume(self, position: Position, tensors: dict[str, Tensor]) -> None:
        """Stand where a checkpoint stood; what belongs to the optimizer follows when it is made."""
        self.position, self.resumed, self.began = position, tensors, time.monotonic() - position.seconds
        self.order.epoch, self.order.done = position.epoch, position.batch
        self.net.load_state_dict(_under("net", tensors))
        if self.average:
            self.average.kept = _under("average", tensors)

    def _put_back(self) -> None:
        if self.resumed:
            optimizing.load_named_state(self.net, self._optimizer(), _under("optimizer", self.resumed))
        self.resumed = {}

    def _pause(self) -> None:
        """Write a checkpoint where one is due, and leave where a signal asked for it, all processes alike."""
        wish = 2 * self.signals.asked + (time.monotonic() - self.saved > 60 * self.recipe.checkpoint_minutes)
        if self.trainer.world_size > 1:
            wish = int(self.trainer.strategy.reduce(torch.tensor(wish, device=self.device), reduce_op="max"))
        if wish:
            self.save()
        if wish > 1:
            self.signals.leave(wish // 2)

    def awaited(self) -> str:
        """What is read or computed now, for a message."""
        position, order = self.position, self.order
        if position.batch >= order.steps:
            return f"in validation after epoch {position.epoch + 1}"
        start = position.batch * order.batch
        some = order.positions(position.epoch)[start : start + order.batch][order.rank :: order.processes].tolist()
        return f"at step {position.step + 1}, epoch {position.epoch + 1}; samples {faults.listed(some)}"


def _sum(parts: dict[str, Tensor]) -> Tensor:
    return torch.stack([*parts.values()]).sum()


def _under(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): one for name, one in tensors.items() if name.startswith(f"{part}/")}
