"""An APK as a zip file: entries added to the base, every uncompressed one aligned as Android maps it."""

import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO

_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same inputs give the same bytes
_ALIGNMENT = 4  # bytes; `zipalign 4`
_ALIGNMENT_FIELD = 0xD935  # the extra field that Android's own tools pad with
_LOCAL_HEADER_BYTES = 30


def add_files(base: bytes, files: Mapping[str, bytes]) -> bytes:
    """The unsigned APK of a base APK's entries and `files` (name -> content), sorted by name.

    Source: https://developer.android.com/tools/zipalign (what must be aligned).

    Raises:
        ValueError: a file of a name that the base has.
    """
    with zipfile.ZipFile(BytesIO(base)) as old:
        entries = {info.filename: (old.read(info), info.compress_type) for info in old.infolist()}
    if double := entries.keys() & files.keys():
        raise ValueError(f"twice in the APK: {sorted(double)}")
    entries.update({name: (data, zipfile.ZIP_DEFLATED) for name, data in files.items()})
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name in sorted(entries):
            data, method = entries[name]
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type, info.external_attr = method, 0o644 << 16
            if method == zipfile.ZIP_STORED:
                info.extra = _padding(out.tell() + _LOCAL_HEADER_BYTES + len(name.encode()))
            new.writestr(info, data, compresslevel=6)
    return out.getvalue()


def _padding(offset: int) -> bytes:
    """An extra field after which the data, which would begin at `offset` without it, is aligned."""
    head = 6  # id, length and the alignment itself
    rest = -(offset + head) % _ALIGNMENT
    return struct.pack("<HHH", _ALIGNMENT_FIELD, 2 + rest, _ALIGNMENT) + bytes(rest)
