"""Values that whoever reads a file may trip over, and how they get into bytes, JSON and object trees."""

import json
import random
from typing import Any

import numpy as np

NAMES = ("\x1b]0;x\x07\x1b[2J", "a\nb\r\tc", "\x00", "", "x" * 70_000, "../../secret/image.png", "/dev/zero",
         "\u202eé\x9b",
         "<script>alert(1)</script>", "[red]x[/red]", "%s%n{0}", "😀" * 40, "\ud800")  # fmt: skip
INTEGERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    32_767,
    65_536,
    2**24,
    2**31 - 1,
    -(2**31),
    2**31,
    2**32,
    2**53,
    2**63,
)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e30, 3.4e38, 1e308, float("inf"), float("-inf"), float("nan"))
SECRET = "SECRET"  # put in as text, and replaced by the path of a folder that nobody may read


def damaged(data: bytes, random: random.Random, others: list[bytes]) -> bytes:
    """Bytes changed without a look at what they mean: flips, cuts, and parts of other files."""
    kind = random.randrange(6)
    changed = bytearray(data)
    if not data:
        return b"\0"
    if kind == 0:
        for _ in range(random.choice([1, 1, 2, 8, 64])):
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif kind == 1:
        for _ in range(random.choice([1, 4, 16])):
            changed[random.randrange(len(data))] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
    elif kind == 2:  # a number of four bytes, where those of a flatbuffer are
        place = random.randrange(max(1, len(data) // 4)) * 4
        changed[place : place + 4] = (random.choice(INTEGERS) % 2**32).to_bytes(4, "little")
    elif kind == 3:
        del changed[random.randrange(len(data)) :]
    elif kind == 4:
        other = random.choice(others)
        cut = random.randrange(min(len(data), len(other)) + 1)
        changed = bytearray(data[:cut] + other[cut:])
    else:
        begin, to = random.randrange(len(data)), random.randrange(len(data))
        length = random.randrange(1, 64)
        changed[to : to + length] = changed[begin : begin + length]
    return bytes(changed)


def anything(random: random.Random) -> Any:
    """A value of JSON, as a stranger might give one."""
    deep: Any = 1
    for _ in range(random.choice([5, 40, 900])):
        deep = {"a": deep} if random.random() < 0.5 else [deep]
    return random.choice([
        None, True, False, [], {}, [[]], {"": None}, deep, 10**30, [0] * 3000, random.choice(NAMES),
        random.choice(NAMES),
        random.choice(INTEGERS), random.choice(INTEGERS), random.choice(FLOATS), random.choice(FLOATS), SECRET,
        f"{SECRET}/image.png", ["a", 1, None], [random.choice(FLOATS)] * 2, {"a": random.choice(NAMES)},
    ])  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """(owner, key) of all that a JSON value holds."""
    found, left = [], [value]
    while left:
        owner = left.pop()
        keys = owner.keys() if isinstance(owner, dict) else range(len(owner)) if isinstance(owner, list) else ()
        found += [(owner, key) for key in keys]
        left += [owner[key] for key in keys]
    return found


def change_json(value: Any, random: random.Random) -> None:
    """The value with one place changed, gone, doubled, or beside one that nobody knows."""
    if not (found := places(value)):
        return
    owner, key = random.choice(found)
    kind = random.randrange(8)
    if kind == 0:
        del owner[key]
    elif kind == 1 and isinstance(owner, list):
        owner.extend([owner[key]] * random.choice([1, 200]))
    elif kind == 1 or (kind == 2 and isinstance(owner, dict)):
        owner[random.choice(NAMES) if isinstance(owner, dict) else 0] = anything(random)
    elif isinstance(owner[key], bool | None) or kind < 5:
        owner[key] = anything(random)
    elif isinstance(owner[key], int):
        owner[key] = random.choice(INTEGERS)
    elif isinstance(owner[key], float):
        owner[key] = random.choice(FLOATS)
    elif isinstance(owner[key], str):
        owner[key] = random.choice([*NAMES, SECRET, f"{SECRET}/image.png", "../secret", owner[key] + "\x1b[31m"])
    else:
        owner[key] = anything(random)


def change_kindly(value: Any, random: random.Random) -> None:
    """One place gets another value of its own kind, which a schema takes as a rule."""
    owner, key = random.choice([place for place in places(value) if isinstance(place[0][place[1]], str | int | float)])
    old = owner[key]
    if isinstance(old, bool):
        owner[key] = not old
    elif isinstance(old, int):
        owner[key] = random.choice([0, 1, 3, old + 1, 10**9, 2**31, 2**53])
    elif isinstance(old, float):
        owner[key] = random.choice([0.0, -0.0, 1.0, -old, 1e-300, 1e300, 1.7e308, old + 1e-9, -1e18])
    else:
        owner[key] = random.choice([*NAMES, SECRET, f"{SECRET}/image.png", "../secret", ".", "/", "tensors", "a" * 255])


def json_text(value: Any, random: random.Random, secret: str) -> bytes:
    """As text; now and then changed as text."""
    text = json.dumps(value).replace(SECRET, json.dumps(secret)[1:-1])
    kind = random.randrange(40)
    if kind == 0:
        text = "[" * 50_000 + text
    elif kind == 1:
        text = text.replace(": ", f": {'{' + chr(34) + 'a' + chr(34) + ':'}" * random.choice([3, 3000]), 1)
    elif kind == 2:
        text = "\ufeff" + text
    elif kind == 3:
        text = text.replace("2", "9" * 5000, 1)
    data = text.encode("utf-16" if kind == 4 else "utf-8", "surrogatepass")
    return damaged(data, random, [b"\0" * 100, b"{}" * 400]) if kind in (5, 6, 7) else data


def change_tree(root: Any, random: random.Random) -> None:
    """One place of a flatbuffer's tree becomes another: an index, a scale, a shape, a name, a vector's length."""
    owner, key, value = random.choice(_tree_places(root))

    def put(new):
        owner[key] = new
        if not isinstance(owner, list):
            return

    if not isinstance(owner, list):

        def put(new):
            setattr(owner, key, new)

    if isinstance(value, np.ndarray) and len(value):
        put(_changed_vector(value.copy(), random))
    elif isinstance(value, list):
        kind = random.randrange(4)
        put([[], value[:-1], value + value[:1] * random.choice([1, 100]), random.sample(value, len(value))][kind])
    elif isinstance(value, bytes):
        put(random.choice(NAMES).encode("utf-8", "surrogatepass"))
    elif isinstance(value, bool):
        put(not value)
    elif isinstance(value, float):
        put(random.choice(FLOATS))
    elif isinstance(value, int):
        put(random.choice([value + 1, value - 1, *INTEGERS]))
    else:  # a table, or a vector of nothing
        put(None)


def _changed_vector(values: np.ndarray, random: random.Random) -> np.ndarray:
    kind = random.randrange(6)
    if kind == 0:
        return values[: random.randrange(len(values))]
    if kind == 1:
        return np.concatenate([values, values[: random.choice([1, len(values)])]])
    wanted = random.choice(FLOATS) if values.dtype.kind == "f" else random.choice(INTEGERS)
    bounds = None if values.dtype.kind == "f" else np.iinfo(values.dtype)
    with np.errstate(over="ignore"):
        number = values.dtype.type(wanted) if bounds is None else min(max(wanted, int(bounds.min)), int(bounds.max))
    values[slice(None) if kind == 2 else random.randrange(len(values))] = number
    return values


def _tree_places(value: Any) -> list[tuple[Any, Any, Any]]:
    if isinstance(value, list):
        mine = [(value, key, each) for key, each in enumerate(value)]
    elif hasattr(value, "__dict__") and type(value).__name__.endswith("T"):
        mine = [(value, key, each) for key, each in vars(value).items() if each is not None]
    else:
        return []
    return [place for one in mine for place in (one, *_tree_places(one[2]))]
