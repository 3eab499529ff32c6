"""What `tfeff compare --pictures` adds: the images on which the two files differ most, as pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.errors import TfeffError

if TYPE_CHECKING:
    from tfeff.cli.output import Output
    from tfeff.compare import Comparison
    from tfeff.data import Dataset
    from tfeff.record.schema import TaskSpec

_COUNT = 12


@dataclass(frozen=True)
class Pictures:
    """What the options say: the folder (None for none), how many, and whether earlier ones are replaced."""

    folder: Path | None
    count: int
    force: bool

    def check(self, specs: "list[TaskSpec]") -> None:
        """Whether they can be written, before anything is run.

        Args:
            specs: what the outputs mean.

        Raises:
            TfeffError: the folder cannot be taken, or no task's answer can be drawn.
        """
        if self.folder is None:
            return
        from tfeff.compare.pictures import check_folder
        from tfeff.tasks import get_task
        from tfeff.tasks.base import Task

        check_folder(self.folder, self.force)
        if all(type(get_task(spec.name)).apart is Task.apart for spec in specs):
            raise TfeffError(
                "--pictures: the outputs are compared as numbers, which no picture shows",
                "say with --task what they mean, or leave it out",
            )

    def write(self, out: "Output", dataset: "Dataset", result: "Comparison") -> dict[str, Any]:
        """Writes them, says so, and tells what --json adds."""
        if self.folder is None:
            return {}
        from tfeff.compare.pictures import write_pictures

        index = write_pictures(self.folder, dataset, result, force=self.force)
        count = len(index.pictures)
        out.say(f"{self.folder}: {count} picture{'s' * (count != 1)} of the images on which the two files differ most"
                if count else f"{self.folder}: no picture, the two files say the same of every image")  # fmt: skip
        return {"pictures": {"folder": str(self.folder), "files": [each.file for each in index.pictures]}}


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options --pictures, --pictures-count and --force, handed on as `pictures` of `Pictures`."""

    @click.option("--pictures", "folder", type=click.Path(path_type=Path), metavar="DIR",
                  help="Write the images on which the two files differ most, both answers side by side.")  # fmt: skip
    @click.option("--pictures-count", "count", type=click.IntRange(1, 500), default=None,
                  help=f"How many of them [default: {_COUNT}].")  # fmt: skip
    @click.option("--force", is_flag=True, help="With --pictures: replace the pictures in DIR.")
    @wraps(command)
    def taken(*args: Any, folder: Path | None, count: int | None, force: bool, **others: Any) -> Any:
        for option, given in (("--pictures-count", count is not None), ("--force", force)):
            if folder is None and given:
                raise TfeffError(f"{option}: says nothing without --pictures", "add --pictures DIR")
        return command(*args, pictures=Pictures(folder, count or _COUNT, force), **others)

    return taken
