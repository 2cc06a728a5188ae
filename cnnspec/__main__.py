"""The door: `cnnspec VERB SPEC [options]`. Imports the verb asked for and nothing else.

Exit codes: 0 ok; 1 the answer is no; 2 bad usage; 3 something is not there; 4 a run failed; 129, 130,
143 interrupted; 70 internal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.main import get_command

from cnnspec.commands import VERBS
from cnnspec.commands.common import answer, diagnostics_of, out, say
from cnnspec.diagnostics import CnnspecError, Diagnostic, RunError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code; results go to stdout, talk to stderr."""
    args = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal of fewer characters is no fault
    try:
        with _terminable():
            code = _run(args)
        sys.stdout.flush()
        if code == 130:  # typer makes this of an interrupt
            say("interrupted")
        return code
    except CnnspecError as error:
        return _refuse(args, error)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _refuse(args, RunError("out of memory", "a smaller --batch, or smaller sizes by --at"))
    except Exception as error:
        return _internal(args, error)


def _run(args: list[str]) -> int:
    """Exit code of the verb; faults of the command line become UsageError."""
    verb = next(iter(args), "")
    if verb and not verb.startswith("-") and verb not in VERBS:
        raise UsageError(f"unknown verb '{verb}'", did_you_mean(verb, VERBS) or f"the verbs are {', '.join(VERBS)}")
    try:
        result = get_command(_app(verb)).main(args, prog_name="cnnspec", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        text: Callable[[], str] | None = getattr(error, "format_message", None)  # what typer says of a command line
        if text is None or isinstance(error, CnnspecError):
            raise
        asked = f"cnnspec {verb} --help" if verb in VERBS else "cnnspec --help"
        raise UsageError(_sentence(text()), f"{asked} shows the options") from None
    return result if isinstance(result, int) else 0


def _app(verb: str) -> typer.Typer:
    """The command line with the one verb asked for; without one, with all of them as stubs for the help."""
    app = typer.Typer(
        name="cnnspec",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help="Convolutional networks from YAML: check, count, train, predict.")(_top)
    if verb in VERBS:
        module = import_module(f"cnnspec.commands.{verb}")
        app.command(verb, help=VERBS[verb])(getattr(module, verb))
        return app
    for name, help in VERBS.items():
        app.command(name, help=help)(_stub)
    return app


def _stub() -> None:
    """Stands for a verb that the help lists."""


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            out(f"cnnspec {version('cnnspec')}")
        except PackageNotFoundError:
            out("cnnspec (a checkout, not installed)")
        raise typer.Exit(0)


def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _sentence(text: str) -> str:
    text = text.replace("Value error, ", "").strip().rstrip(".")
    return text[:1].lower() + text[1:]


def _refuse(args: list[str], error: CnnspecError) -> int:
    """Print an error a user can cause, in words or as the JSON document."""
    if "--debug" in args:
        _trace()
    if "--json" in args:
        answer(_verb(args), json=True, data={}, diagnostics=diagnostics_of(error), ok=False)
    else:
        say(str(error))
    return error.exit_code


def _internal(args: list[str], error: Exception) -> int:
    if "--debug" in args:
        _trace()
    what = f"{type(error).__name__}: {error}"[:500]
    if "--json" in args:
        answer(_verb(args), json=True, data={}, diagnostics=[Diagnostic("internal", what)], ok=False)
    else:
        say(f"internal error: {what}\n  help: this is a fault of cnnspec; --debug shows the traceback to report")
    return 70


def _verb(args: list[str]) -> str:
    return next((arg for arg in args[:1] if arg in VERBS), "cnnspec")


def _trace() -> None:
    import traceback

    traceback.print_exc()


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP leave with 143 and 129 and run what must be cleaned up; one that is to be ignored still is."""

    def leave(number: int, frame: Any) -> NoReturn:
        raise SystemExit(128 + number)

    before: dict[int, Any] = {}
    try:
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) not in (signal.SIG_IGN, leave):
                before[number] = signal.signal(number, leave)
    except ValueError:  # not in the main thread
        pass
    try:
        yield
    finally:
        for taken, handler in before.items():
            signal.signal(taken, handler)


if __name__ == "__main__":
    sys.exit(main())
