"""One HTML file on a run: curves, figures, examples, and what it was made of. Nothing in it is fetched."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cnnspec.commands.drawn import pictures
from cnnspec.datasets.colours import colours
from cnnspec.diagnostics import printable
from cnnspec.drawing.examples import PLAIN, Example
from cnnspec.drawing.lines import Line, svg
from cnnspec.evaluating import Evaluation
from cnnspec.judges import Outcome
from cnnspec.runs import Row, Run

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
OF_LOSS = ("loss", "validation_loss")
TIMES = ("epoch", "best", "seconds", "lr", "images_per_second", "waiting")
Examples = Sequence[tuple[list[Example], list[Example]]]


def page(run: Run, evaluation: Evaluation | None, examples: Examples, note: str = "") -> str:
    """The whole file. Without an evaluation `note` says why there is none."""
    name = run.begin.get("spec", run.folder.name)
    title = _text(f"{name}, {run.folder.name}" if run.folder.name != name else name)
    sections = {"Figures": _figures(run, evaluation, note), "Curves": _curves(run)}
    for number, outcome in enumerate(evaluation.outcomes if evaluation else ()):
        head = f" of {outcome.head}" if evaluation and len(evaluation.outcomes) > 1 else ""
        sections[f"Results{head}"] = _outcome(outcome)
        worst, best = examples[number]
        sections[f"Worst{head}"] = _gallery(worst, WORDS[outcome.kind], _key(outcome))
        if best:
            sections[f"Best{head}"] = _gallery(best, "")
    sections["Training samples"] = _samples(run)
    sections["Made of"] = _made_of(run)
    there = {heading: text for heading, text in sections.items() if text}
    links = "".join(f'<a href="#s{number}">{_text(heading)}</a>' for number, heading in enumerate(there))
    body = "\n".join(
        f'<section id="s{number}"><h2>{_text(heading)}</h2>{text}</section>'
        for number, (heading, text) in enumerate(there.items())
    )
    here = Path(__file__)
    style = "".join(here.with_name(f"{file}.css").read_text(encoding="utf-8") for file in ("report", "run_page"))
    script = here.with_name("run_page.js").read_text(encoding="utf-8")
    head = f"""<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title><style>
{style}</style>"""
    top = f"<header><h1>{title}</h1>{_facts(run)}<nav>{links}</nav></header>"
    whole = f"<body>\n{top}<main>\n{body}\n</main>\n<script>\n{script}</script></body>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>{whole}</html>\n'


WORDS = {
    "classify": "Highest loss first: the true class with its probability, and what the image was taken for.",
    "locate": "Lowest overlap first; blue is the truth, orange what was found.",
    "detect": "Lowest F1 first, of boxes with scores above 0.25 that overlap a true one by half.",
    "segment": "Lowest mean IoU first.",
}


def _facts(run: Run) -> str:
    begin, best, rows = run.begin, run.best, run.rows
    facts = {
        "data": begin.get("data"),
        "training / validation / held out": " / ".join(
            f"{begin[part]:,}" for part in ("training", "validation", "test") if part in begin
        ),
        "epochs": f"{len(rows)} of {begin.get('epochs', len(rows))}" if rows else None,
        "best epoch": int(best["epoch"]) if best else None,
        "time": _time(rows[-1].get("seconds", 0)) if rows else None,
        "device": run.environment.get("device"),
    }
    shown = [(name, value) for name, value in facts.items() if value not in (None, "")]
    return f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{_text(value)}</dd></div>' for name, value in shown)}</dl>"


def _figures(run: Run, evaluation: Evaluation | None, note: str) -> str:
    """The numbers on the images held out, and the commands that give them."""
    best = {k.removeprefix("validation_"): v for k, v in (run.best or {}).items() if k.startswith("validation_")}
    test: Mapping[str, float] = {**run.end.get("test", {}), **(evaluation.metrics if evaluation else {})}
    names = [*dict.fromkeys([*test, *best])]
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td class="right">{_number(name, test.get(name))}</td>'
        f'<td class="right">{_number(name, best.get(name))}</td></tr>'
        for name in names
    )
    heads = '<tr><th scope="col"></th><th scope="col" class="right">held out</th><th scope="col" class="right">'
    table = f"<table><thead>{heads}validation</th></tr></thead><tbody>{rows}</tbody></table>"
    protocols = [text for one in (evaluation.outcomes if evaluation else ()) for text in one.protocols]
    lines = "".join(f'<p class="faint">{_text(text)}</p>' for text in protocols)
    said = f"<p>{_text(note)}</p>" if note else ""
    command = f"cnnspec evaluate {run.folder}"
    warned = sum(one.get("event") == "warning" for one in run.events)
    number = "1 warning is" if warned == 1 else f"{warned} warnings are"
    warnings = f'<p class="faint">{number} in events.jsonl.</p>' if warned else ""
    figures = f'<div class="wide" tabindex="0" role="group" aria-label="figures">{table}</div>' if names else ""
    return f"{said}{figures}{lines}{warnings}<pre><code>{_text(command)}</code></pre>"


def _curves(run: Run) -> str:
    rows, best = run.rows, run.best
    if not rows:
        return '<p class="faint">No epoch has ended.</p>'
    mark = int(best["epoch"]) if best else None
    judged = [name for name in rows[0] if name.startswith("validation_") and name not in OF_LOSS]
    loss = [Line(name.replace("validation_loss", "validation").replace("loss", "training"), _column(rows, name))
            for name in OF_LOSS if name in rows[0]]  # fmt: skip
    charts = [svg("loss", loss, best=mark)] if loss else []
    if judged:
        lines = [Line(name.removeprefix("validation_"), _column(rows, name)) for name in judged]
        charts.append(svg("validation", lines[:6], part=True, best=mark))
    if "lr" in rows[0]:
        charts.append(svg("learning rate at the end", [Line("rate", _column(rows, "lr"))]))
    if "images_per_second" in rows[0]:
        charts.append(svg("images a second", [Line("images/s", _column(rows, "images_per_second"))]))
    return f'<div class="charts">{"".join(f"<figure>{one}</figure>" for one in charts)}</div>'


def _column(rows: Sequence[Row], name: str) -> list[float]:
    return [row.get(name, float("nan")) for row in rows]


def _outcome(outcome: Outcome) -> str:
    drawn = "".join(f'<figure class="paper">{text}</figure>' for text in pictures(outcome).values())
    return f"{drawn}{_classes(outcome)}" or '<p class="faint">One number an image; the worst are below.</p>'


def _classes(outcome: Outcome) -> str:
    if not outcome.classes:
        return ""
    keys = list(outcome.classes[0])
    heads = "".join(
        f'<th scope="col" aria-sort="none"{" class=right" * (key != "label")}>'
        f"<button>{_text('class' if key == 'label' else key)}</button></th>"
        for key in keys
    )
    rows = "".join(f"<tr>{''.join(_cell(row[key], key) for key in keys)}</tr>" for row in outcome.classes)
    table = f'<table class="sorted"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="wide" tabindex="0" role="group" aria-label="every class">{table}</div>'


def _cell(value: Any, key: str) -> str:
    if key == "label":
        return f'<th scope="row" data-value="{_text(value)}">{_text(value)}</th>'
    text = "" if value is None else f"{value:.1%}" if isinstance(value, float) else f"{value:,}"
    share = f' style="--share:{100 * value:.1f}%"' if isinstance(value, float) else ""
    kind = "right share" if share else "right"
    return f'<td class="{kind}"{share} data-value="{-1 if value is None else value}">{text}</td>'


def _key(outcome: Outcome) -> str:
    """The colours of masks."""
    if outcome.kind != "segment":
        return ""
    names = [row["label"] for row in outcome.classes]
    shades = ["#" + bytes(shade).hex() for shade in colours(len(names)).tolist()]
    there = [(name, shade) for name, shade in zip(names, shades, strict=True) if name not in PLAIN]
    chips = (f'<span><i style="--shade:{shade}"></i>{_text(name)}</span>' for name, shade in there)
    return f'<div class="key">{"".join(chips)}</div>'


def _gallery(some: Sequence[Example], words: str, key: str = "") -> str:
    figures = "".join(
        f"<figure>{''.join(_image(one, *picture) for picture in one.pictures)}"
        f'<figcaption>{_text(one.text)}<br><span class="faint">{_text(one.place)}</span></figcaption></figure>'
        for one in some
    )
    intro = f'<p class="faint">{_text(words)}</p>' if words else ""
    return f'{intro}{key}<div class="gallery">{figures}</div>'


def _image(one: Example, what: str, data: bytes, kind: str) -> str:
    alt = _text(f"{what or 'image'} of {one.place}")
    image = f'<img src="{_data(data, kind)}" alt="{alt}">'
    return f'<span class="labelled"><span class="faint">{what}</span>{image}</span>' if what else image


def _samples(run: Run) -> str:
    file = run.folder / "samples.png"
    if not file.is_file():
        return ""
    image = f'<img src="{_data(file.read_bytes(), "image/png")}" alt="training samples as the network sees them">'
    return f'<div class="wide" tabindex="0" role="group" aria-label="training samples">{image}</div>'


def _data(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _made_of(run: Run) -> str:
    environment = json.dumps(run.environment, indent=2) if run.environment else ""
    texts = {"spec": run.spec, "recipe": run.recipe, "environment": environment}
    return "".join(
        f"<details><summary>{name}</summary><pre><code>{_text(text)}</code></pre></details>"
        for name, text in texts.items()
        if text
    )


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if name == "loss" else f"{value:.2%}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _text(value: object) -> str:
    return escape(printable(str(value)))
