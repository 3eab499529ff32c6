"""Where other projects keep the weights of a family, and what makes our network theirs: one file a family.

A family's file has `SOURCES`, {source's name: `Layout`}.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError


def _as_it_is(state):
    return state


@dataclass(frozen=True)
class Layout:
    """How one source keeps the weights of a family.

    Attributes:
        places: the built model -> {layer's name: prefix of its entries in the state dict}.
        options: of the family's builder, so that it makes the network that the weights were trained in.
        unused: prefixes of entries that no forward pass of the source reads.
        entries: PyTorch's word -> the source's, where they differ (`running_mean`: `_mean`).
        adapt: state dict -> state dict with its values as PyTorch would have them; it leaves alone what it does not
            know, and is given any state dict whatever.
        networks: shell pattern of the networks that the source has.
    """

    places: Callable[[Any], dict[str, str]]
    options: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    entries: Mapping[str, str] = field(default_factory=dict)
    adapt: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_it_is
    networks: str = "*"


def list_layouts(family: str, network: str | None = None) -> dict[str, Layout]:
    """Source -> layout of a family, or of one network of it; empty where there is none."""
    name = f"{__name__}.{family}"
    sources = import_module(name).SOURCES if find_spec(name) else {}
    return {k: layout for k, layout in sources.items() if network is None or fnmatchcase(network, layout.networks)}


def get_layout(family: str, source: str, network: str | None = None) -> Layout:
    """The layout that `source` ("torchvision", "timm", ...) has for a family, or for one network of it.

    Raises:
        TfeffError: a family, source or network without a layout.
    """
    layouts = list_layouts(family, network)
    if source not in layouts:
        known = ", ".join(sorted(layouts)) or "none"
        raise TfeffError(f"{network or f'family {family}'} has no weight layout {source!r}", f"its layouts: {known}")
    return layouts[source]


def find_layout(model: Any, family: str, network: str, state: Mapping[str, Any], path: Path) -> str:
    """The source in whose layout most layers of the model find an entry.

    Raises:
        TfeffError: the family has no layout, or in none of them half of the layers find one.
    """
    layouts = list_layouts(family, network)
    if not layouts:
        raise TfeffError(
            f"network {network}: no weight layout of another project is known", "docs/weights.md lists those there are"
        )
    heads = {entry.rpartition(".")[0] for entry in state}
    shares = {}
    for source, layout in layouts.items():
        found = {entry.rpartition(".")[0] for entry in layout.adapt(state)} | heads
        places = layout.places(model)
        layers = [layer.name for layer in model.layers if layer.weights]
        shares[source] = sum(places.get(name) in found for name in layers) / len(layers)
    best = max(shares, key=lambda source: shares[source])
    alike = [source for source, share in shares.items() if share == shares[best]]
    if shares[best] >= 0.5 and any(layouts[source].options != layouts[best].options for source in alike):
        ways = "; ".join(
            f"--layout {source}: {dict(layouts[source].options) or 'options as they are'}" for source in alike
        )
        raise TfeffError(
            f"weights {path}: its entries fit layouts {' and '.join(alike)} of {network}, which compute differently",
            f"say where the weights come from: {ways}",
        )
    if shares[best] < 0.5:
        begins = ", ".join(list(state)[:3]) or "nothing"
        raise TfeffError(
            f"weights {path}: no layout of {network} fits its entries ({begins}, ...)",
            f"check the network; its layouts are {', '.join(layouts)}; --layout takes one of them as it is",
        )
    return best
