"""How a command ends: its errors become a line on stderr and an exit code.

An environment that lacks something (a full disk, a closed stream, no memory) is no gate that failed: exit 2, as for bad
input.
"""

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

import click

from tfeff.cli.words import shown
from tfeff.errors import TfeffError

_LONGEST = 3000  # letters of a message


def open_standard_streams() -> None:
    """Opens what is closed of stdin, stdout and stderr: the next file that is opened would take its number, and be
    written into."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            nowhere = _Closed() if number == 1 else open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
    # A terminal, or a pipe, of a language that lacks a letter gets it escaped.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


class _Closed(io.TextIOBase):
    """In place of a stdout that is closed: who writes to it wants to be read."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def ended(run: Callable[[], Any]) -> int:
    """Runs a command and gives its exit code; all it has to say is written when this returns."""
    code = _caught(run)
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        silence(sys.stdout)
        if isinstance(error, BrokenPipeError):  # `tfeff list | head`
            return code
        tell(f"standard output: cannot be written ({getattr(error, 'strerror', None) or error})", "make room")
        code = 2
    with suppress(OSError, ValueError):
        sys.stderr.flush()
        return code
    silence(sys.stderr)
    return code


def _caught(run: Callable[[], Any]) -> int:
    try:
        return run() or 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        with suppress(OSError, ValueError):
            error.show()
        return 2
    except TfeffError as error:
        tell(error.what, error.mend)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        tell("interrupted")
        return 130
    except BrokenPipeError:
        silence(sys.stdout)
        return 0
    except Exception as error:
        return _environment(error)


def _environment(error: Exception) -> int:
    """Says what the machine lacks; or, for an error of ours, where it is."""
    if isinstance(error, OSError):
        names = [
            shown(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)
        ]
        tell(": ".join([*names[:1], (error.strerror or str(error)).lower()]), "see that it can be read or written")
    elif isinstance(error, MemoryError):
        tell("out of memory", "close other programs, or use fewer samples or a smaller input")
    elif isinstance(error, ValueError) and "embedded null" in str(error):  # Python's word for a NUL in a path
        tell("a name holds a NUL, which no file's can", "give another name")
    elif isinstance(error, RecursionError):
        tell("something is nested too deep for this command", "give a smaller or flatter file")
    elif os.strerror(errno.ENOSPC) in str(error) or "Disk quota exceeded" in str(error):  # TensorFlow has its own types
        tell("no space left on device", "make room, or choose another folder; TMPDIR says where scratch files go")
    else:
        with suppress(OSError, ValueError):
            traceback.print_exception(error)
        tell("this is an error of tfeff itself", "report it with what is above, the command and `tfeff doctor`")
    return 2


def tell(what: str, mend: str = "") -> None:
    """A line on stderr, where there is one that can be written."""
    with suppress(OSError, ValueError):
        lines = [f"tfeff: {_brief(what)}", *([f"  mend: {_brief(mend)}"] if mend else [])]
        text = "\n".join(lines)
        print(text, file=sys.stderr)


def _brief(text: str) -> str:
    """As a terminal may show it; what a file holds may be as long as it likes."""
    return shown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def silence(stream: TextIO) -> None:
    """Lets what a stream still holds go nowhere, so that Python's own end does not stumble over it."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
