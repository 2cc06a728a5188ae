"""The traps of YAML, each told in the words of this language and never in the parser's."""

from __future__ import annotations

import re

import yaml

from cnnspec import limits
from cnnspec.diagnostics import Diagnostic, Source, Span

_ENTRY = re.compile(r"(?P<lead>\s*(?:- +)?)(?P<key>[^\s#'\"{\[][^#]*?):\s+(?P<value>\S.*)")
_OPENERS = {
    "[": "a list",
    "{": "a mapping",
    "*": "an alias",
    "&": "an anchor",
    "!": "a tag",
    "%": "a directive",
    "@": "a reserved sign",
    "`": "a reserved sign",
    "'": "a quoted text",
    '"': "a quoted text",
    "-": "a list item",
    "|": "a text block",
    ">": "a text block",
    "?": "a key",
    ",": "the next item",
}
FOREIGN = {
    "**": "powers",
    "/": "true division; write a // b for whole numbers",
    "<<": "shifts",
    ">>": "shifts",
    "&": "bit arithmetic; write and",
    "|": "bit arithmetic; write or, and -> before a step",
    "^": "powers",
    "~": "bit arithmetic; write not",
    "!": "`!`; write not",
    '"': "double quotes; write 'text'",
    "@": "matrix products",
    "?": "`a ? b : c`; write b if a else c",
    "{": "braces",
    "`": "backquotes",
    "\u2192": "such arrow; write ->",
    "\u2018": "such quotes; write 'text'",
    "\u2019": "such quotes; write 'text'",
    "\u201c": "such quotes; write 'text'",
    "\u201d": "such quotes; write 'text'",
    "\u2212": "such minus; write -",
    "\u2013": "such dash; write -",
    "\u2014": "such dash; write -",
    "\u00d7": "such sign; write *",
}
"""Signs of other languages, and what ours writes."""
HINTS = {
    "=": "write == to compare; an argument is name=value inside the parentheses of a call",
    "for": "a loop stands in parentheses: x -> (step for i in n)",
    "+": "a number has no sign + before it",
}
"""What may help where an expression goes on with such a word."""
_QUOTE = "quote the whole expression, or begin it with another sign (parentheses will do)"


def tab_indentation(source: Source) -> Diagnostic | None:
    found = re.search(r"^ *(\t)[ \t]*[^\s#]", source.text, re.MULTILINE)
    if not found:
        return None
    span = Span(source, found.start(1), found.end(1))
    return Diagnostic("yaml.tab", "a tab in the indentation", span, help="indent with blanks alone")


def block_scalar(span: Span, style: str) -> Diagnostic:
    message = f"a text block ({style}) is not allowed"
    return Diagnostic("yaml.block-text", message, span, help="write the text plainly; it may wrap over lines")


def flow_comma(span: Span) -> Diagnostic:
    message = "YAML cuts an expression at a comma or bracket inside { } or [ ]"
    return Diagnostic(
        "yaml.flow-comma", message, span, help="give the entry a line of its own, or quote the expression"
    )


def cut_text(span: Span) -> Diagnostic:
    message = "YAML takes what follows ' #' for a comment and cuts the quoted text"
    return Diagnostic("yaml.cut-text", message, span, help="quote the whole expression")


def explain(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic:
    """What a parser's error most likely means, found from the lines around it."""
    mark = error.problem_mark or error.context_mark
    line = min(mark.line, len(source.line_starts) - 1) if mark else 0
    offset = min(source.line_starts[line] + (mark.column if mark else 0), len(source.text))
    context = min(error.context_mark.line, line) if error.context_mark else line
    return (
        _too_deep(source, offset, error.problem or "")
        or _odd_start(source, line)
        or _comment_between(source, line)
        or _odd_start(source, context)
        or _long_key(source, line)
        or _long_signature(source, line)
        or _no_colon(source, error)
        or _not_closed(source, error)
        or _indentation(source, offset, error.problem or "")
    )


def _too_deep(source: Source, offset: int, problem: str) -> Diagnostic | None:
    """libyaml may have a depth of its own, which its scanner, being ahead, reaches before the reader's."""
    if "nesting depth" not in problem:
        return None
    return Diagnostic("limit.depth", f"nested deeper than {limits.YAML_DEPTH} levels", Span(source, offset, offset))


def _line_span(source: Source, line: int, start: int, end: int) -> Span:
    first = source.line_starts[line]
    return Span(source, first + start, first + end)


def _odd_start(source: Source, line: int) -> Diagnostic | None:
    text = source.line(line + 1)
    found = _ENTRY.match(text)
    if not found:
        return None
    value = found["value"]
    if value[0] not in _OPENERS or (value[0] == "-" and not value.startswith("- ")):
        return None
    if value[0] in "[{'\"" and not _goes_on(value):
        return None
    span = _line_span(source, line, found.start("value"), len(text.rstrip()))
    message = f"a value that begins with {value[0]} is {_OPENERS[value[0]]} to YAML and cannot go on"
    return Diagnostic("yaml.start", message, span, help=_QUOTE)


def _goes_on(value: str) -> bool:
    """Whether text follows the bracket or quote that closes the first one."""
    if value[0] in "'\"":
        end = value.find(value[0], 1)
        return end > 0 and bool(value[end + 1 :].split("#")[0].strip())
    depth = 0
    for at, sign in enumerate(value):
        depth += (sign in "[{") - (sign in "]}")
        if depth == 0:
            return bool(value[at + 1 :].split("#")[0].strip())
    return False


def _comment_between(source: Source, line: int) -> Diagnostic | None:
    """A comment ends a plain scalar: what follows on the next line is then out of place."""
    for number in range(line, max(line - 3, 0), -1):
        before, here = source.line(number), source.line(number + 1)
        comment = re.search(r"(^\s*|\s)#", before)
        goes_on = re.match(r"\s+[^\s#]", here)
        if comment and goes_on and not re.match(r"\s*[A-Za-z_][^#]*:(\s|$)", here):
            span = _line_span(source, number - 1, comment.end() - 1, len(before.rstrip()))
            message = "a comment between the lines of an expression ends it"
            return Diagnostic("yaml.comment", message, span, help="move the comment above the entry")
    return None


def _long_key(source: Source, line: int) -> Diagnostic | None:
    """YAML looks no further for the colon behind a key, and tells so at the colon or on the next line."""
    for number in range(max(line - 1, 0), line + 1):
        found = re.match(r"\s*(\S.*?):(\s|$)", source.line(number + 1))
        if found and len(found[1]) > limits.KEY_CHARS:
            start = _line_span(source, number, found.start(1), found.start(1) + 1)
            message = f"{len(found[1])} characters before a colon, the limit is {limits.KEY_CHARS} (YAML's own)"
            help = "a default may be the name of a param of the spec" if "(" in found[1] else None
            return Diagnostic("limit.key", message, start, help=help)
    return None


def _long_signature(source: Source, line: int) -> Diagnostic | None:
    """A key has to stand on one line; a signature that wraps leaves an open parenthesis behind."""
    for number in range(max(line - 20, 0), line + 1):
        text = source.line(number + 1)
        if re.match(r"\s*[A-Za-z_]\w*\([^:]*$", text) and text.count("(") > text.count(")"):
            start = len(text) - len(text.lstrip())
            span = _line_span(source, number, start, len(text.rstrip()))
            return Diagnostic(
                "yaml.signature", "the signature of a block stands on one line", span, help="join the lines"
            )
    return None


def _no_colon(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic | None:
    """An entry without its colon goes on over the next lines; what is told is where that ends."""
    begun, missed, problem = error.context_mark, error.problem_mark, error.problem or ""
    if begun is not None and "expected ':'" in problem:
        line = begun.line
    elif begun is None and missed is not None and "mapping values" in problem and _alone(source, missed.line - 1):
        line = missed.line - 1
    else:
        return None
    if not (found := re.match(r"\s*([A-Za-z_][\w.]*)\s+[^\s:#][^:#]*$", source.line(line + 1))):
        return None
    span = _line_span(source, line, found.start(1), found.end(1))
    return Diagnostic("yaml.syntax", "an entry without a colon", span, help=f"write {found[1]}: and its expression")


def _alone(source: Source, line: int) -> bool:
    """Whether a line looks like an entry of its own: the next is an entry of its level, and none before it goes on."""
    if line < 1:
        return False
    before, here, after = (source.line(number).rstrip() for number in (line, line + 1, line + 2))
    level = len(here) - len(here.lstrip())
    entry = re.compile(rf"\s{{{level}}}[A-Za-z_][\w.]*(\(.*\))?:(\s|$)")
    opens = before.endswith(":") and len(before) - len(before.lstrip()) < level
    goes_on = here.endswith(("->", ",", "(")) or before.endswith(("->", ",", "("))
    return not goes_on and entry.match(after) is not None and (opens or entry.match(before) is not None)


def _not_closed(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic | None:
    """A quote or bracket whose end is missed further down is shown where it opens."""
    opened, missed = error.context_mark, error.problem_mark
    if opened is None or missed is None or opened.line >= len(source.line_starts):
        return None
    problem = error.problem or ""
    if "end of stream" not in problem and not ("',' or" in problem and missed.line > opened.line):
        return None
    start = source.line_starts[opened.line] + opened.column
    span = Span(source, start, start + 1)
    return Diagnostic(
        "yaml.syntax", f"this {span.text} is not closed", span, help="close it, or write the text plainly"
    )


def _indentation(source: Source, offset: int, problem: str) -> Diagnostic:
    span = Span(source, offset, min(offset + 1, len(source.text)))
    message, help = "YAML cannot read the text at this place", "check quotes and indentation"
    before = source.text[source.text.rfind("\n", 0, offset) + 1 : offset]
    if "mapping values" in problem and before.count("(") > before.count(")"):
        message, help = "a ': ' inside parentheses", "an argument is written name=value"
    elif "mapping values" in problem:
        message, help = "a ': ' where no key is due", "quote the text, or check the indentation"
    elif "escape" in problem:
        message, help = "the text has an escape that YAML does not know", "write the text plainly"
    elif "document start" in problem and re.search(r"^\.\.\.", source.text[:offset], re.MULTILINE):
        message, help = "text after the end of the document (...)", "a file holds one spec; remove the dots or the text"
    elif "',' or" in problem:
        message, help = "expected a comma or a closing bracket at this place", "add the comma, or close the bracket"
    elif "':'" in problem or "expected key" in problem or "document start" in problem or "block" in problem:
        message = "expected `key: value` at this place"
        help = "write `name: expression`, and indent entries of one level alike"
    return Diagnostic("yaml.syntax", message, span, help=help)
