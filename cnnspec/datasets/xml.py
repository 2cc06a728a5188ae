"""Annotations of one image in Pascal VOC's XML, read as what it is: hostile until it is checked.

M. Everingham et al.: The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010; the form is that of its development
kit, which many tools write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from cnnspec import limits
from cnnspec.datasets.files import content
from cnnspec.datasets.parts import shown
from cnnspec.diagnostics import RunError

DEPTH = 16
"""Levels of elements."""

_OBJECT = ["annotation", "object"]
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class Object:
    """One object: its fields as they are written, and the line it begins in."""

    line: int
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def written(self) -> str:
        return ", ".join(shown(self.fields.get(key, "?")) for key in _CORNERS)


@dataclass
class _Reader:
    path: Path
    objects: list[Object] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def parse(self, data: bytes) -> None:
        self.parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.texts.append
        parser.StartDoctypeDeclHandler = self.doctype
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise RunError(f"{shown(self.path)}:{error.lineno}: is no XML: {expat.ErrorString(error.code)}") from None
        except (LookupError, ValueError) as error:
            raise RunError(f"{shown(self.path)}:1: is no XML: {shown(error)}") from None

    def doctype(self, *given: object) -> None:
        line = self.parser.CurrentLineNumber
        raise RunError(f"{shown(self.path)}:{line}: a document type is declared; XML with entities is not read")

    def start(self, name: str, _: object) -> None:
        line = self.parser.CurrentLineNumber
        self.stack.append(name)
        self.texts.clear()
        if len(self.stack) == 1 and name != "annotation":
            raise RunError(f"{shown(self.path)}:{line}: begins with <{shown(name)}>, an annotation with <annotation>")
        if len(self.stack) > DEPTH:
            raise RunError(f"{shown(self.path)}:{line}: nested deeper than {DEPTH} levels")
        if self.stack == _OBJECT:
            self.objects.append(Object(line))

    def end(self, name: str) -> None:
        """Keeps the text of object/name, object/difficult and object/bndbox/xmin; a part's own box is none of them."""
        if self.stack[:2] == _OBJECT and (len(self.stack) == 3 or self.stack[2:3] == ["bndbox"]):
            self.objects[-1].fields.setdefault(name, "".join(self.texts).strip())
        self.stack.pop()
        self.texts.clear()


def read(path: Path) -> list[Object]:
    """The objects of an annotation. Raises RunError with file, line and reason where it is none, where it declares a
    document type (and with it entities), is too large, or is nested too deeply."""
    reader = _Reader(path)
    reader.parse(content(path, limits.FILE_BYTES))
    return reader.objects


def corners(one: Object, path: Path) -> list[float]:
    """x1, y1, x2, y2 as they are written. Raises RunError where one is missing or no number."""
    found = []
    for key in _CORNERS:
        try:
            found.append(float(one.fields[key]))
        except KeyError:
            raise RunError(f"{shown(path)}:{one.line}: the object has no {key}") from None
        except ValueError:
            said = shown(one.fields[key][:40])
            raise RunError(f"{shown(path)}:{one.line}: {key} of the object is '{said}', no number") from None
    return found
