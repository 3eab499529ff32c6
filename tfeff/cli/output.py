"""What commands print: a short table on stderr for people, or one JSON object on stdout for programs."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from tfeff.cli.ending import silence
from tfeff.cli.words import shown
from tfeff.errors import TfeffError

if TYPE_CHECKING:  # --help does not load it
    from rich.console import Console


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --json and --quiet to a command; they reach it as an `out` argument, an `Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
    @click.option("--quiet", "-q", is_flag=True, help="Print no table and no progress.")
    def wrapped(*args, as_json, quiet, **kwargs):
        return function(*args, out=Output(as_json, quiet), **kwargs)

    wrapped.__name__ = function.__name__
    wrapped.__doc__ = function.__doc__
    given = [*getattr(wrapped, "__click_params__", []), *getattr(function, "__click_params__", [])]
    wrapped.__click_params__ = given  # type: ignore[attr-defined]  # where click keeps the options of a function
    return wrapped


class Output:
    """Where a command's words go. Rich honours NO_COLOR and notices that stderr is no terminal.

    Words for people are no part of a command's work: where nobody reads them any more, it goes on.

    Raises:
        TfeffError: JSON is wanted, and stdout is closed.
    """

    def __init__(self, as_json: bool, quiet: bool):
        if as_json and not sys.stdout.writable():
            raise TfeffError("standard output is closed", "leave --json out, or send it to a file")
        self.as_json, self.quiet = as_json, quiet
        self._console: Console | None = None

    @property
    def console(self) -> "Console":
        if self._console is None:
            from rich.console import Console

            class Pipe(Console):
                def on_broken_pipe(self) -> None:  # Rich would end the command here
                    self.quiet = True
                    silence(sys.stderr)

            width = None if sys.stderr.isatty() else 150
            self._console = Pipe(stderr=True, quiet=self.quiet, highlight=False, emoji=False, width=width)
        return self._console

    def say(self, text: str) -> None:
        """A line for people. Neither Rich nor a terminal interprets it, so names from files are safe."""
        self.console.print(shown(text), markup=False, soft_wrap=True)

    def table(self, title: str, columns: list[str], rows: list[list[str]], words: tuple[str, ...] = ()) -> None:
        """A table for people; columns after the first are right-aligned, but for those named in `words`."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(shown(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(columns):
            left = number == 0 or column in words
            table.add_column(Text(shown(column)), justify="left" if left else "right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(shown(str(cell))) for cell in row))
        self.console.print(table)

    def facts(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Name and value pairs for people."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(shown(title)), title_justify="left", box=None, pad_edge=False, show_header=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(Text(shown(name)), Text(shown(str(value))))
        self.console.print(table)

    @contextmanager
    def progress(self, text: str) -> Iterator["Advance"]:
        """A progress bar on a terminal, nothing elsewhere; yields `advance(done, total)` and `advance.step(text, done,
        total)`."""
        if self.quiet or not sys.stderr.isatty():
            yield Advance(None, None)
            return
        from rich.progress import Progress

        with Progress(console=self.console, transient=True) as bar:
            yield Advance(bar, bar.add_task(text, total=None))

    def json(self, value: Any) -> None:
        """The command's JSON object, on stdout, when --json was given."""
        if self.as_json:
            print(json.dumps(value, indent=1, allow_nan=False))  # letters beyond ASCII are escaped


class Advance:
    """Moves a progress bar, where there is one."""

    def __init__(self, bar: Any, task: Any):
        self._bar, self._task = bar, task

    def __call__(self, done: float, total: float) -> None:
        if self._bar:
            self._bar.update(self._task, completed=done, total=total or None)

    def step(self, text: str, done: float, total: float) -> None:
        """The same for work of several steps; a total of 0 is a step of unknown length."""
        if self._bar:
            from rich.markup import escape

            self._bar.update(self._task, description=escape(shown(text)), completed=done, total=total or None)
