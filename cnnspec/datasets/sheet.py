"""Pictures of images with what is known or thought of them: classes, boxes and masks drawn in, many on one sheet.

An image is uint8 [height, width, 1 or 3]; what comes back is uint8 [height, width, 3].
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cnnspec.datasets.colours import colours
from cnnspec.datasets.parts import VOID, shown
from cnnspec.diagnostics import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cnnspec.datasets.parts import Boxes
    from cnnspec.datasets.samples import Part
    from cnnspec.vision import Pixels

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

TEXT = 12
"""Height of a caption's letters in pixels."""

GAP = 6


def rgb(image: Pixels) -> Pixels:
    """The image in three channels, a copy."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image.copy()


def draw_boxes(
    image: Pixels,
    boxes: Boxes,
    labels: Sequence[str],
    scores: Sequence[float] | None = None,
    colour: tuple[int, int, int] | None = None,
) -> Pixels:
    """The image with boxes (in its pixels), each in its class's colour (or `colour`) under its class's name, with its
    score behind it where there are scores. Difficult boxes are thin."""
    picture = Image.fromarray(rgb(image))
    pen = ImageDraw.Draw(picture)
    shades, letters = colours(len(labels)), max(8, min(TEXT, min(picture.size) // (12 if len(boxes) <= 6 else 24)))
    width = max(1, round(min(picture.size) / 160))
    for number, (label, corners) in enumerate(zip(boxes.classes.tolist(), boxes.corners.tolist(), strict=True)):
        shade = colour or _rgb(shades[label])
        x1, y1, x2, y2 = corners
        outline = (x1, y1, max(x1, x2 - 1), max(y1, y2 - 1))  # the last pixel that is in the box
        pen.rectangle(outline, outline=shade, width=1 if boxes.difficult[number] else width)
        text = labels[label] if scores is None else f"{labels[label]} {scores[number]:.2f}"
        if text:
            _tag(pen, x1, y1, text, shade, letters, picture.size)
    return np.asarray(picture)


def _tag(
    pen: ImageDraw.ImageDraw,
    x: float,
    y: float,
    text: str,
    shade: tuple[int, int, int],
    letters: int,
    size: tuple[int, int],
) -> None:
    """A name on a ground of the colour: above the corner x, y, or below it where there is no room."""
    font, text = _font(letters), shown(text)
    width = pen.textlength(text, font) + 2
    left = max(0.0, min(x, size[0] - width))
    top = y - letters - 2 if y >= letters + 2 else y
    pen.rectangle((left, top, left + width, top + letters + 1), fill=shade)
    light = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] > 140
    pen.text((left + 1, top), text, fill="black" if light else "white", font=font)


def overlay(image: Pixels, mask: Pixels, shades: Pixels, share: float = 0.55, plain: Iterable[int] = ()) -> Pixels:
    """The image with each pixel of class i coloured by `shades[i]`, `share` of it; void, and classes of `plain`, stay.

    `mask` is uint8 [height, width], `shades` uint8 [classes, 3] as `colours` gives.
    """
    table = np.zeros((256, 3), np.float32)
    table[: len(shades)] = shades
    there = np.zeros(256, np.bool_)
    there[: len(shades)] = True
    there[[VOID, *plain]] = False
    base = rgb(image).astype(np.float32)
    mixed = base + share * (table[mask] - base)
    return np.rint(np.where(there[mask][..., None], mixed, base)).astype(np.uint8)


def legend(labels: Sequence[str], shades: Pixels, width: int = 640) -> Pixels:
    """The names of classes beside their colours, in as many rows as it takes."""
    font, line = _font(TEXT), TEXT + GAP
    places: list[tuple[float, int]] = []
    x, row = float(GAP), 0
    for label in labels:
        wide = line + ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(shown(label), font) + 2 * GAP
        if x + wide > width and x > GAP:
            x, row = float(GAP), row + 1
        places.append((x, row))
        x += wide
    picture = Image.new("RGB", (width, (row + 1) * line + GAP), "white")
    pen = ImageDraw.Draw(picture)
    for (left, row), label, shade in zip(places, labels, shades, strict=True):
        top = row * line + GAP
        pen.rectangle((left, top, left + TEXT - 1, top + TEXT - 1), fill=_rgb(shade))
        pen.text((left + line, top - 1), shown(label), fill="black", font=font)
    return np.asarray(picture)


def sheet(
    images: Sequence[Pixels], captions: Sequence[str] | None = None, columns: int | None = None, side: int = 160
) -> Pixels:
    """The images in rows, each scaled to fit `side` x `side`, with its caption (of one or several lines) below."""
    texts = [printable(text) for text in captions or [""] * len(images)]
    columns = columns or max(1, min(len(images), 8))
    lines = max([text.count("\n") + 1 if text else 0 for text in texts], default=0)
    wide, high = side + GAP, side + GAP + lines * (TEXT + 3)
    rows = -(-len(images) // columns)
    picture = Image.new("RGB", (columns * wide + GAP, rows * high + GAP), "white")
    pen, font = ImageDraw.Draw(picture), _font(TEXT)
    for number, (image, text) in enumerate(zip(images, texts, strict=True)):
        row, column = divmod(number, columns)
        left, top = column * wide + GAP, row * high + GAP
        picture.paste(_cell(image, side), (left, top))
        for line, words in enumerate(text.split("\n")):
            pen.text((left, top + side + 1 + line * (TEXT + 3)), _cut(words, side, font), fill="black", font=font)
    return np.asarray(picture)


def scaled(image: Pixels, side: int) -> Pixels:
    """The image within side x side: larger by a whole number, so that its pixels stay seen, or smaller."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    scale = float(int(scale)) if scale >= 1 else scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(rgb(image)).resize(size, how))


def _cell(image: Pixels, side: int) -> Image.Image:
    """The image in the middle of a grey square."""
    inner = scaled(image, side)
    cell = Image.new("RGB", (side, side), (235, 235, 235))
    cell.paste(Image.fromarray(inner), ((side - inner.shape[1]) // 2, (side - inner.shape[0]) // 2))
    return cell


def _cut(text: str, width: int, font: Font) -> str:
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip(".") + "." if len(text) > 2 else ""
    return text


def of_part(
    part: Part, labels: Sequence[str], positions: Sequence[int], columns: int | None = None, side: int = 224
) -> Pixels:
    """A sheet of samples as they were read, at their own sizes or stretched: each with its class, boxes and mask."""
    shades, pictures, captions = colours(len(labels)), [], []
    for position in positions:
        image = scaled(part.images.one(position), side)
        caption = "" if part.classes is None else labels[int(part.classes[position])]
        if part.masks is not None:
            mask = Image.fromarray(part.masks(position)).resize(image.shape[1::-1], Image.Resampling.NEAREST)
            image = overlay(image, np.asarray(mask), shades)
        if part.boxes is not None:
            image = draw_boxes(image, _moved(part.boxes[position], image, part.sizes[position]), labels)
        pictures.append(image)
        captions.append(caption)
    return sheet(pictures, captions if part.classes is not None else None, columns, side)


def _moved(boxes: Boxes, image: Pixels, size: NDArray[np.int64]) -> Boxes:
    """Boxes of the original image in pixels of one that it was stretched to."""
    factor = np.asarray(image.shape[:2], np.float32) / size
    return type(boxes)(boxes.classes, (boxes.corners * factor[[1, 0, 1, 0]]).astype(np.float32), boxes.difficult)


def png(image: Pixels) -> bytes:
    """The image as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(rgb(image)).save(file, "PNG")
    return file.getvalue()


def _font(letters: int) -> Font:
    return ImageFont.load_default(letters)


def _rgb(shade: Pixels) -> tuple[int, int, int]:
    red, green, blue = shade.tolist()
    return red, green, blue
