"""Tasks: what a model's outputs mean. One file a task; numpy only.

No other room asks which task it has: it takes one by name and calls it.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from tfeff.errors import TfeffError
from tfeff.record.schema import TaskSpec
from tfeff.tasks.base import Frame, GroupValue, Head, Metric, Picture, Task

__all__ = ["Frame", "GroupValue", "Head", "Metric", "Picture", "Task", "get_task", "list_tasks", "recognise", "said"]


@cache
def list_tasks() -> tuple[str, ...]:
    """Names of the tasks: the files here that have a `TASK`; the others are parts of one."""
    files = (path for folder in __path__ for path in Path(folder).glob("*.py") if path.name != "__init__.py")
    return tuple(sorted(path.stem for path in files if "\nTASK = " in path.read_text(encoding="utf-8")))


def get_task(name: str) -> Task:
    """A task by its name.

    Raises:
        TfeffError: there is none of this name.
    """
    if name not in list_tasks():
        raise TfeffError(f"unknown task {name!r}", f"choose one of {', '.join(list_tasks())}")
    return import_module(f"tfeff.tasks.{name}").TASK


def recognise(heads: Sequence[Head]) -> list[TaskSpec]:
    """What the outputs of a model mean, as far as they say themselves; those that do not are compared as tensors."""
    specs, unknown = [], []
    for head in heads:
        found = next((spec for name in list_tasks() if (spec := get_task(name).recognise(head)) is not None), None)
        if found is None:
            unknown.append(head)
        else:
            specs.append(found)
    return [*specs, *([get_task("tensors").describe(None, unknown)] if unknown else [])]


def said(words: Sequence[str], heads: Sequence[Head], where: str) -> tuple[list[TaskSpec], list[Head]]:
    """What the user says that outputs mean, and the heads of which nothing is said.

    Args:
        words: as `--task` takes them: `[OUTPUT=]NAME[:KIND]`; without an output it is of all.
        where: what messages call the model.

    Raises:
        TfeffError: no such task, kind or output; or something said twice.
    """
    by_name, specs, left = {head.output: head for head in heads}, [], list(heads)
    for word in words:
        output, _, rest = word.rpartition("=")
        name, _, kind = rest.partition(":")
        if name not in list_tasks():
            raise TfeffError(f"--task {word}: there is no task {name!r}", f"choose one of {', '.join(list_tasks())}")
        if output and output not in by_name:
            raise TfeffError(
                f"--task {word}: {where} has no output {output!r}", f"its outputs are {', '.join(by_name)}"
            )
        meant = [by_name[output]] if output else list(heads)
        if any(head not in left for head in meant):
            raise TfeffError(f"--task {word}: says twice what {meant[0].output} means", "give each output one task")
        specs.append(get_task(name).describe(kind or None, meant))
        left = [head for head in left if head not in meant]
    return specs, left
