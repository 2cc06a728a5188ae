"""What a phase trains and how: groups of parameters, the optimizer, the rate of a step, averaged weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from cnnspec.diagnostics import UsageError
from cnnspec.freezing import check_globs, matches

if TYPE_CHECKING:
    from cnnspec.recipe import Stage

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def freeze(net: nn.Module, globs: list[str]) -> None:
    """Let the parameters below the globs stay as they are, and train all others. Raises UsageError for a glob that fits
    nothing, and where nothing is left to train."""
    names = [name for name, _ in net.named_parameters()]
    check_globs(names, globs, "freeze")
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(not matches(name, globs))
    if names and not any(parameter.requires_grad for parameter in net.parameters()):
        raise UsageError(f"freeze {globs} leaves nothing to train")


def rest(net: nn.Module) -> None:
    """Put the normalizations whose parameters are all frozen into evaluation mode: their statistics stay too."""
    for module in net.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, NORMS) and own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def optimizer(net: nn.Module, stage: Stage) -> Optimizer:
    """The phase's optimizer over the parameters that are trained, in groups by rate and by decay.

    Weight decay leaves out biases and the parameters of normalizations unless `decay_all`. A group's `factor` is what
    its rate is of the phase's. Raises UsageError for a glob of `rates` that fits nothing.
    """
    check_rates(net, stage.rates)
    plain = set() if stage.decay_all else {id(one) for one in _undecayed(net)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            factor = next((rate for glob, rate in stage.rates.items() if matches(name, [glob])), 1.0)
            decay = 0.0 if id(parameter) in plain else stage.weight_decay
            groups.setdefault((factor, decay), []).append(parameter)
    given: list[dict[str, Any]] = [
        {"params": some, "factor": factor, "weight_decay": decay} for (factor, decay), some in groups.items()
    ]
    if stage.optimizer == "rmsprop":
        return RMSprop(given, stage.lr, momentum=stage.momentum)
    if stage.optimizer == "sgd":
        return SGD(given, stage.lr, momentum=stage.momentum, nesterov=stage.nesterov, fused=_fuses(net))
    return (Adam if stage.optimizer == "adam" else AdamW)(given, stage.lr, fused=_fuses(net))


def check_rates(net: nn.Module, globs: Iterable[str]) -> None:
    """Raises UsageError for a glob of `rates` that fits nothing."""
    check_globs((name for name, _ in net.named_parameters()), globs, "rates")


def _fuses(net: nn.Module) -> bool:
    """Whether torch updates these parameters in one pass."""
    return all(one.device.type in ("cpu", "cuda") and one.is_floating_point() for one in net.parameters())


def _undecayed(net: nn.Module) -> Iterator[nn.Parameter]:
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias" or isinstance(module, NORMS):
                yield parameter


def named_state(net: nn.Module, made: Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as PARAMETER/KEY."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value
        for parameter, kept in made.state.items()
        for key, value in kept.items()
        if isinstance(value, Tensor)
    }


def load_named_state(net: nn.Module, made: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `named_state` gave."""
    parameters = dict(net.named_parameters())
    for place, value in tensors.items():
        name, key = place.rsplit("/", 1)
        parameter = parameters[name]
        like = parameter if value.ndim else torch.empty((), device=parameter.device if _fuses(net) else "cpu")
        state = made.state[parameter]
        state[key] = torch.empty_like(like, dtype=value.dtype).copy_(value)


class Average:
    """Exponential moving average of weights and statistics: a + (1 - decay) (w - a) after every step.

    Polyak and Juditsky 1992; what is no floating number is taken as it is.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.live: dict[str, Tensor] = {}
        self.kept: dict[str, Tensor] = {}

    def bind(self, net: nn.Module) -> None:
        """Take the network's tensors where they lie now; those kept follow them."""
        self.live = net.state_dict()
        self.kept = {
            name: self.kept.get(name, tensor).detach().to(tensor, copy=True) for name, tensor in self.live.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        for name, tensor in self.live.items():
            if tensor.is_floating_point():
                self.kept[name].lerp_(tensor, 1 - self.decay)
            else:
                self.kept[name].copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network with averaged weights, for a while."""
        before = {name: tensor.detach().clone() for name, tensor in self.live.items()}
        self._put(self.kept)
        try:
            yield
        finally:
            self._put(before)

    @torch.no_grad()
    def _put(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in self.live.items():
            tensor.copy_(tensors[name])
