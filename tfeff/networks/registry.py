"""The registry of networks: a family file registers its variants, everybody else asks by name.

Families import Keras, and importing Keras costs seconds. So that `tfeff list` and error messages stay fast,
`index.json` beside this file names every network, the module it lives in, its published figures and its counts. The
index is made by `python -m tfeff.networks.make_index` and a test fails when it is stale.
"""

import difflib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.record.schema import TaskSpec

INDEX_PATH = Path(__file__).with_name("index.json")
_NOT_FAMILIES = {"__init__", "building", "registry", "make_index", "weighted", "parts"}


@dataclass(frozen=True)
class Network:
    """An architecture at one width.

    Attributes:
        name: the public name.
        family: names the file and the alias of its smallest trained preset.
        builder: `builder(input_shape=, classes=, name=, **options) -> keras.Model`.
        options: what makes this variant of the builder (width, channels per group, ...).
        published: figures as printed, with their `source`; `madds` in single multiply-adds (printed value x its unit).
        paper: title and identifier.
        task: what its outputs mean, a name of `tfeff.tasks`.
        describe: `describe(model, **options) -> TaskSpec`, what the outputs of a built model mean; None where they are
            logits of classes, or tensors.
    """

    name: str
    family: str
    builder: Callable[..., Any]
    options: Mapping[str, Any]
    published: Mapping[str, Any] = field(default_factory=dict)
    paper: str = ""
    task: str = "classification"
    describe: Callable[..., TaskSpec] | None = None

    def __call__(self, **arguments: Any) -> Any:
        """Builds the network: a functional `keras.Model`, untrained; logits out, or raw outputs by name.

        Raises:
            TfeffError: arguments that the network cannot take.
        """
        classes, shape = arguments.get("classes", 2), arguments.get("input_shape", (1, 1, 1))
        least = 2 if self.describe is None else 1  # of objects, one kind is enough
        if not isinstance(classes, Integral) or classes < least:
            raise TfeffError(f"network {self.name}: classes must be at least {least}, not {classes!r}")
        sizes = shape if isinstance(shape, Sequence) else ()
        if len(sizes) != 3 or not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
            raise TfeffError(f"network {self.name}: input_shape must be (h, w, c), each at least 1, not {shape!r}")
        try:
            return self.builder(**{"name": self.name, **self.options, **arguments})
        except (TypeError, ValueError) as error:  # an option it does not have, or channels that do not divide
            given = ", ".join(f"{key}={value!r}" for key, value in arguments.items()) or "its own options"
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise TfeffError(f"network {self.name} cannot be built with {given}: {reason}") from error

    def meaning(self, model: Any, **arguments: Any) -> TaskSpec:
        """What the outputs of the network mean.

        Args:
            model: as it was built.
            arguments: what it was built with.
        """
        if self.describe is not None:
            return self.describe(model, **{**self.options, **arguments})
        if isinstance(model.output, Mapping):
            return TaskSpec(name="tensors", outputs=list(model.output))
        return TaskSpec(name=self.task, outputs=["logits"], decode={"kind": "classes", "scores": "logits"})


_registered: dict[str, Network] = {}


def register_networks(
    family: str, paper: str, variants: Mapping[str, Mapping[str, Any]], **meaning: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers `variants` of the decorated builder: public name -> its options, `published` set apart.

    Args:
        meaning: `task` and `describe` of `Network`, where it is no classifier.
    """

    def decorate(builder):
        for name, variant in variants.items():
            options = {key: value for key, value in variant.items() if key != "published"}
            published = variant.get("published", {})
            _registered[name] = Network(name, family, builder, options, published, paper, **meaning)
        return builder

    return decorate


def list_networks(pattern: str = "*") -> list[str]:
    """Public names that match a shell pattern, sorted; reads the index, imports no Keras."""
    return sorted(name for name in index() if fnmatchcase(name, pattern))


def get_network(name: str) -> Network:
    """The registered network of that name; its family's file is imported on demand."""
    if name in index():
        import_module(index()[name]["module"])
    elif name not in _registered:
        import_families(besides={entry["module"] for entry in index().values()})  # files newer than the index
    if name not in _registered:
        raise unknown_name("network", name, index(), "`tfeff list` shows all of them")
    return _registered[name]


@lru_cache(maxsize=1)
def index() -> dict[str, dict[str, Any]]:
    """What `index.json` says: name -> module, family, paper, published figures, counts."""
    return json.loads(INDEX_PATH.read_text(encoding="utf-8")) if INDEX_PATH.exists() else {}


def import_families(besides: Collection[str] = ()) -> dict[str, Network]:
    """Imports every family's file, but for the modules in `besides`, and returns all networks registered so far."""
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        module = ".".join((__package__, *path.relative_to(folder).with_suffix("").parts))
        if path.stem not in _NOT_FAMILIES and module not in besides:
            import_module(module)
    return dict(_registered)


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str) -> TfeffError:
    """The error for a name that is not `known`, with the nearest names as the mend."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return TfeffError(f"unknown {kind} {name!r}", f"did you mean {' or '.join(near)}?" if near else hint)
