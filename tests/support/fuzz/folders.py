"""Folders of images, tables and arrays as strangers leave them."""

import io
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fuzz.hostile import NAMES, damaged

_FORMATS = (
    "PNG",
    "JPEG",
    "GIF",
    "TIFF",
    "BMP",
    "WEBP",
    "PPM",
    "TGA",
    "ICO",
    "PCX",
    "SGI",
    "DDS",
    "JPEG2000",
    "ICNS",
    "IM",
)
_MODES = ("L", "RGB", "RGB", "RGB", "RGBA", "P", "1", "I;16", "F", "CMYK", "YCbCr")
_ODD_NAMES = ("a\nb.png", "\x1b[31mred.png", "\x07.png", "-rf.png", "é.png", "\udce9.png", "x" * 250 + ".png", " .png",
              "ü/ö.png",
              "%s.png", "🙂.png", "a'b\"c.png", "\u202e.png")  # fmt: skip


def write_folder(folder: Path, random: random.Random) -> str:
    """A folder of a few images of which some are not what they seem; what was done."""
    told = []
    classes = random.choice([[""], ["a", "b", "c", "d"], ["a", "b"], ["train/a", "train/b", "test/a", "test/b"]])
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "good.png").write_bytes(_image(random, "PNG", "RGB", (9, 8)))
    for number in range(random.choice([1, 1, 2, 4])):
        place = folder / random.choice(classes)
        odd = random.choice(_ODD)
        odd(place, number, random)
        told.append(odd.__name__.strip("_"))
    return ", ".join(told)


def _image(random, kind, mode, size):
    file = io.BytesIO()
    pixels = np.frombuffer(random.randbytes(size[0] * size[1] * 3), np.uint8).reshape(size[1], size[0], 3)
    image = Image.fromarray(pixels)
    try:
        image.convert("L").convert(mode) if mode == "F" else image.convert(mode)
        image = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
        image.save(file, kind)
    except (OSError, ValueError, KeyError):  # a format without that mode
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _png(width, height, data, depth=8, colour=2):
    """A PNG of which only the header says the size."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _other_format(place, number, random):
    name = random.choice([".png", ".jpg", ".webp", ".tif", ".jp2", ".PNG"])
    size = (random.randrange(1, 20), random.randrange(1, 20))
    (place / f"{number}{name}").write_bytes(_image(random, random.choice(_FORMATS), random.choice(_MODES), size))


def _damaged(place, number, random):
    data = _image(random, random.choice(_FORMATS), random.choice(_MODES), (9, 9))
    (place / f"{number}.png").write_bytes(damaged(data, random, [data[::-1], b"\0" * 99]))


def _postscript(place, number, random):
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (place / f"{number}{random.choice(['.png', '.eps', '.jpg'])}").write_bytes(random.choice([b"", b"\n"]) + text)


def _thin(place, number, random):
    long = random.choice([300_000, 2**31 - 1, 60_000])
    width, height = random.choice([(long, 1), (1, long)])
    rows = (b"\0" + b"\x80" * 3 * width) * height if long < 10**6 else b"\0\0\0\0"
    (place / f"{number}.png").write_bytes(_png(width, height, rows))


def _giant(place, number, random):
    side = random.choice([20_000, 100_000, 2**31 - 1])
    (place / f"{number}.png").write_bytes(_png(side, side, b"\0" * 1000))


def _empty(place, number, random):
    (place / f"{number}.png").write_bytes(b"")


def _loop(place, number, random):
    (place / f"loop{number}").symlink_to(random.choice([".", "..", f"loop{number}"]))
    (place / f"{number}.png").symlink_to(f"{number}.png")


def _dangling(place, number, random):
    (place / f"{number}.png").symlink_to(random.choice(["/nonexistent/x.png", "/dev/zero", "/dev/stdin", "/"]))


def _pipe(place, number, random):
    os.mkfifo(place / f"{number}.png")


def _folder(place, number, random):
    (place / f"{number}.png").mkdir()


def _names(place, number, random):
    path = place / random.choice(_ODD_NAMES)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(random.choice([b"no image", _image(random, "PNG", "RGB", (8, 8))]))


def _locked(place, number, random):
    (place / f"{number}.png").write_bytes(_image(random, "PNG", "L", (8, 8)))
    (place / f"{number}.png").chmod(0)


def _many_suffixes(place, number, random):
    for each in range(30):
        (place / f"{number}.s{each}\x1b[m").write_bytes(b"")


def _table(place, number, random):
    cells = ["good.png", "a", "0", "../../secret/image.png", "/dev/zero", "1e400", "nan", "-1", "9" * 20, "", '"',
             "a;b", "split", "path", "label", "test", "=1+1", "x" * 200_000, *NAMES]  # fmt: skip
    rows = [[random.choice(cells[: random.choice([4, 30])]) for _ in range(random.choice([1, 2, 2, 3]))]
            for _ in range(random.choice([1, 3, 200]))]  # fmt: skip
    text = random.choice(["\n", "\r\n", "\r"]).join(random.choice(",;\t").join(row) for row in rows)
    text = random.choice(["", "\ufeff", "path,label\n", "path,label,split\n", "path,path\n"]) + text
    name = random.choice(["labels.csv", "labels.csv", "classes.txt"])
    (place / name).write_bytes(text.encode("utf-8", "surrogatepass"))


_ODD: tuple[Callable, ...] = (
    _other_format, _other_format, _damaged, _damaged, _damaged, _postscript, _thin, _giant, _empty, _loop, _dangling,
    _pipe, _folder, _names, _names, _locked, _many_suffixes, _table, _table, _table,
)  # fmt: skip


class _Code:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def write_arrays(path: Path, random: random.Random) -> str:
    """An `.npz` that `--dataset` takes, or nearly; what was done."""
    images = np.frombuffer(random.randbytes(6 * 8 * 8 * 3), np.uint8).reshape(6, 8, 8, 3)
    labels = np.arange(6) % 4
    kind = random.randrange(12)
    values = {
        0: {"images": np.array([_Code(), None], object), "labels": labels},
        1: {"images": images, "labels": np.array([_Code()] * 6, object)},
        2: {
            "images": images.astype(random.choice([np.float64, np.int64, np.complex64, bool, np.float16])),
            "labels": labels,
        },
        3: {"images": images, "labels": labels * random.choice([-1, 10**9, 2**40])},
        4: {"images": images[:0], "labels": labels[:0]},
        5: {"images": images, "labels": labels[:3]},
        6: {
            "images": images,
            "labels": labels,
            "classes": np.array(random.choices(NAMES[:5], k=4), object if random.random() < 0.3 else None),
        },
        7: {"images": images.astype(np.float32) * np.float32(np.nan), "labels": labels.astype(float) * np.inf},
        8: {"images": np.array("text"), "labels": np.array("x"), "../../secret/x": labels},
        9: {"images": np.zeros((6, 8, 8, 3), "M8[s]"), "labels": np.zeros(6, [("a", "i4")])},
        10: {"images": images, "labels": labels},
        11: {"images": images, "labels": labels},
    }[kind]
    file = io.BytesIO()
    np.savez_compressed(file, **values)
    data = file.getvalue()
    if kind == 10:
        data = damaged(data, random, [data[::-1]])
    if kind == 11:  # a header that promises more than there is
        file = io.BytesIO()
        shape = random.choice(["(99999999999, 8, 8, 3)", "(-1, 8, 8, 3)", "(6, 8, 8, 3.5)", "(" * 3000])
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117 + 3000).encode() + b"\n"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("images.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", len(text)) + text + b"\0" * 100)
        data = file.getvalue()
    path.write_bytes(data)
    return f"arrays {kind}"
