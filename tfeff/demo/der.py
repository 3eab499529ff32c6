"""The few pieces of DER (ITU-T X.690) that an RSA key and a certificate are made of."""


def sequence(*parts: bytes) -> bytes:
    return tagged(0x30, b"".join(parts))


def tagged(tag: int, content: bytes) -> bytes:
    """Tag, length and content; lengths from 128 on take the long form."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value: int) -> bytes:
    """A non-negative integer; the top bit is kept 0, the sign."""
    return tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def bit_string(content: bytes) -> bytes:
    return tagged(0x03, b"\0" + content)


def identifier(dotted: str) -> bytes:
    """An object identifier, `1.2.840...`."""
    first, second, *rest = map(int, dotted.split("."))
    out = [40 * first + second]
    for number in rest:
        group = [number & 127]
        while number := number >> 7:
            group.append(0x80 | number & 127)
        out += reversed(group)
    return tagged(0x06, bytes(out))


NULL = tagged(0x05, b"")


def read_integers(data: bytes) -> list[int]:
    """The integers of a SEQUENCE of integers, such as an RSA private key (RFC 8017, A.1.2).

    Raises:
        ValueError: anything else.
    """
    content, rest = _take(data, 0x30)
    if rest:
        raise ValueError("bytes after the end")
    out = []
    while content:
        value, content = _take(content, 0x02)
        out.append(int.from_bytes(value, "big"))
    return out


def _take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Content of the first element, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise ValueError(f"DER element {tag:#x} expected")
    size, start = data[1], 2
    if size & 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("cut short")
    return data[start : start + size], data[start + size :]
