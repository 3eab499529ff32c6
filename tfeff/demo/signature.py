"""APK Signature Scheme v2, what Android 7 and later verify before they install an app.

Source: https://source.android.com/docs/security/features/apksigning/v2 (layout, digests, identifiers).
"""

import hashlib
import struct
from collections.abc import Sequence

from tfeff.demo.key import Key

_RSA_PKCS1_SHA256 = 0x0103
_SCHEME_V2 = 0x7109871A
_MAGIC = b"APK Sig Block 42"
_CHUNK_BYTES = 1 << 20
_END_BYTES = 22  # of a zip's end record without a comment


def sign(apk: bytes, key: Key) -> bytes:
    """Puts the signing block between the entries of an unsigned, aligned APK and its central directory."""
    end = len(apk) - _END_BYTES
    if apk[end : end + 4] != b"PK\5\6":
        raise ValueError("no zip file, or one with a comment")
    directory = struct.unpack_from("<I", apk, end + 16)[0]
    sections = (apk[:directory], apk[directory:end], apk[end:])
    block = _block(_signer(_digest(sections), key))
    moved = sections[2][:16] + struct.pack("<I", directory + len(block)) + sections[2][20:]
    return sections[0] + block + sections[1] + moved


def _digest(sections: Sequence[bytes]) -> bytes:
    """Of the three sections in chunks of 1 MiB; the end record counts with the directory's offset before the block."""
    chunks = [
        hashlib.sha256(b"\xa5" + struct.pack("<I", len(chunk)) + chunk).digest()
        for section in sections
        for chunk in (section[at : at + _CHUNK_BYTES] for at in range(0, len(section), _CHUNK_BYTES))
    ]
    return hashlib.sha256(b"\x5a" + struct.pack("<I", len(chunks)) + b"".join(chunks)).digest()


def _signer(digest: bytes, key: Key) -> bytes:
    algorithm = struct.pack("<I", _RSA_PKCS1_SHA256)
    digests = _sized(_sized(algorithm + _sized(digest)))
    signed = digests + _sized(_sized(key.certificate())) + _sized(b"")  # no further attributes
    signatures = _sized(_sized(algorithm + _sized(key.sign(signed))))
    return _sized(signed) + signatures + _sized(key.public_key())


def _block(signer: bytes) -> bytes:
    value = _sized(_sized(signer))
    pair = struct.pack("<QI", 4 + len(value), _SCHEME_V2) + value
    size = struct.pack("<Q", len(pair) + 8 + len(_MAGIC))
    return size + pair + size + _MAGIC


def _sized(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content
