"""`cnnspec init NAME`: a starter spec that compiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from cnnspec.commands.common import DebugFlag, ForceFlag, JsonFlag, answer, write_new
from cnnspec.diagnostics import UsageError

STARTER = """\
cnnspec: 1
name: {name}
about: A small residual network for colour images of any size that 4 divides
input: {{image: [N, 3, 4*h, 4*w]}}   # batch, channels, height, width; h and w are free
typical: {{h: 8, w: 8}}              # what the cost report uses: 32 x 32 pixels
params: {{classes: 10, width: 32}}

blocks:
  conv_bn(filters, kernel, stride=1): x -> conv(filters, kernel, stride, bias=false) -> batchnorm
  unit(filters, stride=1):
    main: x -> conv_bn(filters, 3, stride) -> relu -> conv_bn(filters, 3)
    skip: x if x.shape == main.shape else x -> conv_bn(filters, 1, stride)
    out: add(main, skip) -> relu

net:
  stem: image -> conv_bn(width, 3) -> relu
  body: stem -> unit(width) -> unit(2 * width, 2) -> unit(4 * width, 2)
  logits: body -> global_avgpool -> dense(classes)

outputs: [logits]
heads: {{logits: {{classify: {{}}}}}}
"""


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The spec's name, or a path ending in .yaml.")],
    force: ForceFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    path = Path(name) if name.endswith((".yaml", ".yml")) else Path(f"{name}.yaml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", path.stem):
        help = "a name begins with a letter or digit and goes on with letters, digits and . _ -"
        raise UsageError(f"'{path.stem}' cannot name a spec", help=help)
    write_new(path, STARTER.format(name=path.stem), force=force)
    target = path if "/" in str(path) else f"./{path}"
    text = f"wrote {path}\nnext: cnnspec check {target}; cnnspec summarize {target}"
    return answer("init", json=json, data={"file": str(path)}, text=text)
