"""What outputs mean: the heads of a file held against the outputs that they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnspec import zoo
from cnnspec.diagnostics import Diagnostic, Span, did_you_mean
from cnnspec.files import File
from cnnspec.graph import Graph, Head
from cnnspec.reader import locate
from cnnspec.scope import Findings
from cnnspec.spec import BOX, CORNERS, Classify, Detect, HeadOf
from cnnspec.tensor import TensorType

READS = {
    "classify": (2, "classes are [N, classes]", "global_avgpool makes one vector of maps; segment reads maps"),
    "locate": (2, "a box is [N, 4]", "dense(4) makes one box"),
    "segment": (4, "masks are [N, classes, H, W]", "classify reads one vector for an image"),
    "detect": (4, "boxes are grids of cells, [N, C, H, W]", "locate reads one box for an image"),
}
"""By kind of head the rank of its output, what that is, and what may be meant."""


def read_heads(file: File, graph: Graph, overridden: bool, findings: Findings) -> dict[str, Head]:
    """The heads by name; faults go to `findings`, where sizes are overridden as notes if the head can do without."""
    types = {output.name: graph.nodes[output.node].type for output in graph.outputs}
    heads = {}
    for name, given in file.heads.items():
        head = _Reading(file, name, types, overridden, findings).head(given)
        if head is not None:
            heads[name] = head
    return heads


@dataclass(frozen=True, slots=True)
class _Reading:
    """One head on the way from the file to the graph."""

    file: File
    name: str
    types: dict[str, TensorType]
    overridden: bool
    findings: Findings

    @property
    def own(self) -> bool:
        """Whether the head stands in this file, and not in the one that it extends."""
        return self.name in (self.file.document.heads or {})

    def say(self, code: str, message: str, span: Span, help: str | None = None) -> None:
        self.findings.add(Diagnostic(code, message, span, help=help))

    def head(self, given: HeadOf) -> Head | None:
        span = self.file.head_spans[self.name]
        kinds = {kind: value for kind, value in given if value is not None}
        if len(kinds) != 1:
            self.say("spec.head", f"the head '{self.name}' has {len(kinds)} kinds, it has one", span)
            return None
        ((kind, options),) = kinds.items()
        of = (self.name,) if options.of is None else (options.of,) if isinstance(options.of, str) else tuple(options.of)
        unknown = [output for output in of if output not in self.types]
        if unknown and not self.own:
            return None  # left over from the file this one extends
        if unknown:
            help = did_you_mean(unknown[0], self.types) or f"the outputs are {', '.join(self.types)}"
            self.say("spec.head", f"the head '{self.name}' reads '{unknown[0]}', which is no output", span, help)
            return None
        if not all(self.read(kind, self.types[output], span) for output in of):
            return None
        named = getattr(options, "labels", None)
        labels = self.labels(named, span)
        classes = self.types[of[0]].channels if kind in ("classify", "segment") else None
        if isinstance(options, Detect):
            classes = self.classes_of_cells(options, of)
        if labels is not None and classes is not None and len(labels) != classes:
            self.misfit(f"'{self.name}' has {classes} classes and {len(labels)} labels", kind)
            labels = None
        detect = options if isinstance(options, Detect) else Detect()
        return Head(
            kind,
            of,
            labels,
            lowest=isinstance(options, Classify) and options.lowest,
            anchors=_sizes(detect.anchors) if detect.anchors is not None else None,
            shared_classes=detect.shared_classes,
            label_set=named if labels is not None and isinstance(named, str) else None,
        )

    def read(self, kind: str, type: TensorType, span: Span) -> bool:
        """Whether a head of the kind can read an output."""
        rank, form, help = READS[kind]
        if type.rank == rank and (kind != "locate" or type.channels == CORNERS):
            return True
        if not self.own:
            span, help = locate(self.file.node, ("extends",)), f"give '{self.name}' a head of your own; {help}"
        self.say("spec.head", f"the head '{self.name}' reads {type}; {form}", span, help)
        return False

    def labels(self, given: str | list[str | int] | None, span: Span) -> tuple[str, ...] | None:
        if not isinstance(given, str):
            return tuple(map(str, given)) if given is not None else None
        found = zoo.labels(given)
        if found is None:
            known = sorted(path.stem for path in (zoo.folder() / "labels").glob("*.txt"))
            help = did_you_mean(given, known) or f"shipped are {', '.join(known)}; a list may stand here too"
            self.say("spec.labels", f"there is no set of labels '{given}'", span, help)
        return found

    def misfit(self, message: str, kind: str) -> None:
        """Labels of another length: an error, but left out with a note where the file's own numbers are overridden."""
        if not self.overridden:
            self.say("spec.labels", message, *self.at(kind, "labels", "leave labels out, or give one for each class"))
        else:
            span = self.file.head_spans[self.name]
            self.findings.add(Diagnostic("head.labels", f"{message}: the labels are left out", span, "warning"))

    def at(self, kind: str, key: str, help: str) -> tuple[Span, str]:
        """Where to mend a key: in the head, or below the file that an inherited head comes from."""
        if self.own:
            return locate(self.file.node, ("heads", self.name, kind, key)), help
        help = f"give heads of your own: heads: {{{self.name}: {{{kind}: {{}}}}}}"
        return locate(self.file.node, ("extends",)), help

    def classes_of_cells(self, options: Detect, of: tuple[str, ...]) -> int | None:
        """How many classes the maps of every grid leave room for; None where no anchors say, or a fault was found."""
        if options.anchors is None:
            return None
        if len(options.anchors) != len(of):
            message = f"'{self.name}' reads {_count(of, 'output')} and has {_count(options.anchors, 'list')} of anchors"
            self.say("spec.anchors", message, *self.at("detect", "anchors", "give one list for each output"))
            return None
        found: dict[str, int] = {}
        for output, anchors in zip(of, options.anchors, strict=True):
            classes = self.classes_of_cell(output, len(anchors), options.shared_classes)
            if classes is None:
                return None
            found[output] = classes
        first, *rest = found.items()
        for output, classes in rest:
            if classes != first[1]:
                message = f"'{first[0]}' has {first[1]} classes and '{output}' {classes}"
                self.say("spec.anchors", message, *self.at("detect", "anchors", "all grids have the same classes"))
                return None
        return first[1]

    def classes_of_cell(self, output: str, boxes: int, shared: bool) -> int | None:
        type = self.types[output]
        rest, size = type.channels - boxes * BOX, 1 if shared else boxes
        if rest < 0 or rest % size:
            some = f"{boxes} boxes" if boxes != 1 else "1 box"
            form = f"{boxes} * {BOX} + classes" if shared else f"{boxes} * ({BOX} + classes)"
            message = f"'{output}' has {type.channels} maps, a cell of {some} needs {form}"
            self.say("spec.anchors", message, *self.at("detect", "anchors", "give an anchor for each box of a cell"))
            return None
        return rest // size


def _count(items: Sequence[object], what: str) -> str:
    return f"{len(items)} {what}{'s' if len(items) != 1 else ''}"


def _sizes(anchors: list[list[list[float]]]) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(tuple((float(width), float(height)) for width, height in grid) for grid in anchors)
