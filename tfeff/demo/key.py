"""The key that signs demo apps: RSA of 2048 bits with a certificate of its own, made once and kept for the next build.

Android installs an app over an older one only when both are signed by one key. A key for trying, like the one that
Android Studio makes: whoever publishes an app signs it with a key that is kept better.
"""

import base64
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from tfeff.demo import der
from tfeff.errors import TfeffError
from tfeff.files import check_regular, home, written_whole

_BITS = 2048
_PUBLIC_EXPONENT = 65537
_SHA256_RSA = der.sequence(der.identifier("1.2.840.113549.1.1.11"), der.NULL)
_SHA256 = der.sequence(der.identifier("2.16.840.1.101.3.4.2.1"), der.NULL)


@dataclass(frozen=True)
class Key:
    """An RSA key: modulus n and private exponent d; the public exponent is 65537."""

    modulus: int
    private_exponent: int

    def sign(self, data: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2)."""
        size = (self.modulus.bit_length() + 7) // 8
        digest = der.sequence(_SHA256, der.tagged(0x04, hashlib.sha256(data).digest()))
        padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
        signed = pow(int.from_bytes(padded, "big"), self.private_exponent, self.modulus)
        return signed.to_bytes(size, "big")

    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo (RFC 5280, 4.1)."""
        algorithm = der.sequence(der.identifier("1.2.840.113549.1.1.1"), der.NULL)
        return der.sequence(
            algorithm, der.bit_string(der.sequence(der.integer(self.modulus), der.integer(_PUBLIC_EXPONENT)))
        )

    def certificate(self) -> bytes:
        """X.509, signed by the key itself, "CN=tfeff demo", 2020 to 2049; the same bytes for the same key."""
        name = der.sequence(
            der.tagged(0x31, der.sequence(der.identifier("2.5.4.3"), der.tagged(0x0C, b"tfeff demo"))),
        )
        validity = der.sequence(der.tagged(0x17, b"200101000000Z"), der.tagged(0x17, b"491231235959Z"))
        serial = der.integer(int.from_bytes(hashlib.sha256(self.public_key()).digest()[:8], "big") >> 1)
        body = der.sequence(serial, _SHA256_RSA, name, validity, name, self.public_key())  # X.509 v1: no extensions
        return der.sequence(body, _SHA256_RSA, der.bit_string(self.sign(body)))


def default_key_path() -> Path:
    """`tfeff/demo-key.pem` in the user's configuration folder."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config") / "tfeff" / "demo-key.pem"


def open_key(path: Path) -> Key:
    """Reads a key, a PEM file; where there is none, makes one there, readable by its owner only.

    Raises:
        TfeffError: cannot be read or written, or is no RSA private key (PKCS #1).
    """
    check_regular(path, "give another by --key")
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise TfeffError(f"{path}: the key cannot be read ({error.strerror})", "give another by --key") from None
    found = re.search(r"-----BEGIN RSA PRIVATE KEY-----\s(.+?)-----END RSA PRIVATE KEY-----", text, re.DOTALL)
    try:
        _, modulus, public, private, *_ = der.read_integers(base64.b64decode(found[1] if found else ""))
    except ValueError:
        modulus = public = private = 0
    if public != _PUBLIC_EXPONENT or modulus.bit_length() < _BITS:
        raise TfeffError(
            f"{path}: not an RSA private key of {_BITS} bits or more in PEM (PKCS #1)",
            "remove it, and a new one is made; phones then want the old app uninstalled",
        )
    return Key(modulus, private)


def _make(path: Path) -> Key:
    key, primes = _generate()
    first, second = primes
    private = key.private_exponent
    numbers = (0, key.modulus, _PUBLIC_EXPONENT, private, first, second, private % (first - 1), private % (second - 1),
               pow(second, -1, first))  # fmt: skip
    body = base64.encodebytes(der.sequence(*map(der.integer, numbers))).decode()
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TfeffError(f"{path}: the key cannot be written ({error.strerror})", "give a place by --key") from None
    with written_whole(path, force=False, mend="give a place by --key", mode=0o600) as part:
        part.write_text(text, encoding="ascii")  # its folder is closed to others
    return key


def _generate() -> tuple[Key, tuple[int, int]]:
    """A key, and its two primes."""
    while True:
        first, second = _prime(_BITS // 2), _prime(_BITS // 2)
        order = (first - 1) * (second - 1)
        if first != second and (first * second).bit_length() == _BITS and order % _PUBLIC_EXPONENT:
            return Key(first * second, pow(_PUBLIC_EXPONENT, -1, order)), (first, second)


def _prime(bits: int) -> int:
    small = [n for n in range(3, 2000, 2) if all(n % m for m in range(3, int(n**0.5) + 1, 2))]
    while True:
        candidate = secrets.randbits(bits) | 3 << (bits - 2) | 1  # two top bits: the product has all its bits
        if all(candidate % n for n in small) and _passes(candidate):
            return candidate


def _passes(candidate: int, rounds: int = 40) -> bool:
    """Miller-Rabin with random bases; a composite number passes with a chance below 4^-40 (FIPS 186-5, B.3)."""
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(rounds):
        power = pow(secrets.randbelow(candidate - 3) + 2, odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = pow(power, 2, candidate)
            if power == candidate - 1:
                break
        else:
            return False
    return True
