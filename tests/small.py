"""A small network for every kind of head, and data for each: the ten images of `boxed`."""

from __future__ import annotations

from typing import Any

import boxed

SPEC = """\
cnnspec: 1
name: small
input: {image: [N, 3, 28, 40]}
net:
  x: image -> conv(4, 3, STRIDE)
  out: x -> OUTPUT
outputs: [out]
heads: {out: {HEAD}}
"""
HEADS = {
    "classes": (4, "global_avgpool -> dense(3)", "classify: {}"),
    "box": (4, "global_avgpool -> dense(4)", "locate: {}"),
    "boxes": (4, "conv(8, 1)", "detect: {anchors: [[[20, 20]]]}"),
    "masks": (1, "conv(3, 1)", "segment: {}"),
}


def spec(kind: str) -> str:
    stride, output, head = HEADS[kind]
    return SPEC.replace("STRIDE", str(stride)).replace("OUTPUT", output).replace("HEAD", head)


def write_data(kind: str) -> None:
    """Ten images in three parts; of one box each for `box`, and a class each for `classes`."""
    writers: dict[str, Any] = {"boxes": boxed.write_voc, "masks": boxed.write_masks}
    if kind in writers:
        writers[kind]()
        return
    lines = ["image,label,part" + (",x1,y1,x2,y2" if kind == "box" else "")]
    for part, numbers in boxed.PARTS.items():
        for number in numbers:
            boxed.draw(f"d/i{number}.png", number)
            corners = f",{number},2,{number + 20},25" if kind == "box" else ""
            lines.append(f"i{number}.png,{boxed.NAMES[number % 3]},{part}{corners}")
    boxed.put("d/labels.csv", "\n".join(lines))


TWO = """\
cnnspec: 1
name: two
input: {image: [N, 3, 28, 40]}
net:
  x: image -> conv(4, 3, 4) -> relu -> global_avgpool
  place: x -> dense(4)
  logits: x -> dense(3)
outputs: [place, logits]
heads: {place: {locate: {}}, logits: {classify: {}}}
"""
"""A network that says what is there and where; `box` data has both."""
