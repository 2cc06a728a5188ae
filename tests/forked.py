"""A function in a process of its own that may die on the way."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

P = ParamSpec("P")


def forked(work: Callable[[], object]) -> int:
    """Run `work` in a child; gives its exit code, or minus the signal that ended it."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def apart(test: Callable[P, object]) -> Callable[P, None]:
    """A test in a child: after torch has traced, backward starts threads, and no fork of such a process can train."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        assert forked(lambda: test(*args, **kwargs)) == 0

    return run


def die() -> None:
    """As by kill -9, or a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def alive(group: int) -> list[int]:
    """The processes of a group that have not ended, once those that are about to have."""
    for _ in range(100):
        found = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_of(path, group)]
        if not found:
            break
        time.sleep(0.1)
    return found


def _is_of(process: Path, group: int) -> bool:
    try:
        state, _, of = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(of) == group and state != "Z"  # an orphan that no one has waited for has ended too
