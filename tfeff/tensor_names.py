"""From the names of a file's tensors to the Keras layers that they come from. Standard library only."""

import re
from collections import Counter
from collections.abc import Iterable

_INPUT = "serving_default_"  # what the converter puts before the name of an input
_NO_LAYER = re.compile(r"(Stateful)?PartitionedCall(_\d+)?(:\d+)?|Identity(_\d+)?|(arith|tfl|std)\.\w+|")
# The blocks of the zoo (`stage3_normal1_2_vg`, `level2_down_eesp_dw1`, `block3_unit2_conv1`, `block7_se_reduce`) and
# of Keras' own applications (`conv2_block1_1_conv`, `block_3_expand`); else the first word (`stem_bn`, `conv5_relu`).
_BLOCK = re.compile(
    r"(?:[a-z]+\d+_)?(?:block|unit|module|normal|osa)_?\d+(?=_|$)|[a-z]+\d+_(?:down|head)(?=_|$)|[^_]+", re.IGNORECASE
)
_MANY_LAYERS = 4  # a second level with fewer names below it is a layer, not the scope of layers


def layer_names(name: str, scope: str) -> tuple[str, ...]:
    """`net_1/stem_bn_1/batchnorm/add;net_1/stem_1/Conv2D` -> (stem_bn, stem), where the network's own scope is `net_1`:
    the `_1` is Keras' for a network that was called once more, and is at all its layers then.

    Args:
        name: of a tensor, as the converter wrote it: the operations it was fused from, with `;` between.
        scope: what `find_scope` gave for all the names of the file.

    Returns:
        The layers without repetition, in the name's order; none for an empty name.
    """
    if name.startswith(_INPUT):
        return (name.removeprefix(_INPUT).partition(":")[0],)
    again, own = scope.endswith("_1"), scope.split("/") if scope else []
    found = []
    for part in name.split(";"):
        pieces = [piece for piece in part.split("/") if piece]
        inside = len(own) if len(pieces) > len(own) and pieces[: len(own)] == own else 0
        layer = pieces[inside] if pieces else ""
        found.append(layer.removesuffix("_1") if inside and len(pieces) > inside + 1 and again else layer)
    return tuple(dict.fromkeys(layer for layer in found if layer))


def find_scope(names: Iterable[str]) -> str:
    """What nearly all names begin with: the network's own name, or several with `/` between; empty without one."""
    rest = list(names)
    scope: list[str] = []
    while True:
        counted = Counter(name.partition("/")[0] for name in rest if "/" in name)
        (first, count), *_ = counted.most_common(1) or [("", 0)]
        if count <= 1 or count <= len(rest) / 2:
            return "/".join(scope)
        below = [name.partition("/")[2] for name in rest if name.startswith(f"{first}/")]
        if scope and len({name.partition("/")[0] for name in below if "/" in name}) < _MANY_LAYERS:
            return "/".join(scope)
        scope.append(first)
        rest = below


def names_a_layer(name: str) -> bool:
    """False for names that converters give to what has none, such as `PartitionedCall:0`."""
    return not _NO_LAYER.fullmatch(name)


def block_of(name: str) -> str:
    """The block of a layer, told by its name."""
    prefix, slash, own = name.rpartition("/")
    found = _BLOCK.match(own)
    return prefix + slash + (found.group() if found else own)
