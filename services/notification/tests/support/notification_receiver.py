"""A receiver of webhooks, written from Standard Webhooks 1.0 and RFC 8032 alone: a second opinion on our signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT: Final = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]


def accepts(secrets: str, headers: Mapping[str, str], body: bytes, now: int) -> set[str]:
    """Return the versions of the signatures of a call that are valid, within five minutes.

    Args:
        secrets: What was told at the registration: "whsec_… whpk_…".
        headers: Of the call, by names in small letters.
        body: Of the call.
        now: Unix seconds.
    """
    if abs(now - int(headers["webhook-timestamp"])) > 300:
        return set()
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    keys = dict(each.split("_", 1) for each in secrets.split())
    found = set()
    for each in headers["webhook-signature"].split(" "):
        version, _, encoded = each.partition(",")
        signature = base64.b64decode(encoded)
        if version == "v1":
            expected = hmac.new(base64.b64decode(keys["whsec"]), signed, hashlib.sha256).digest()
            if hmac.compare_digest(expected, signature):
                found.add(version)
        elif version == "v1a" and verify(base64.b64decode(keys["whpk"]), signed, signature):
            found.add(version)
    return found


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 signature is valid (RFC 8032, 5.1.7)."""
    key, commitment = _read(public), _read(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _L:
        return False
    digest = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    left, right = _times(scalar, _BASE), _add(commitment, _times(digest, key))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 == (left[1] * right[2] - right[1] * left[2]) % _P


def _add(one: Point, other: Point) -> Point:
    a, b = (one[1] - one[0]) * (other[1] - other[0]) % _P, (one[1] + one[0]) * (other[1] + other[0]) % _P
    c, d = 2 * one[3] * other[3] * _D % _P, 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point = _add(point, point)
        scalar >>= 1
    return found


def _x(y: int, odd: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P:
        return None
    return _P - x if x & 1 != odd else x


def _read(encoded: bytes) -> Point | None:
    number = int.from_bytes(encoded, "little")
    y, odd = number & (1 << 255) - 1, number >> 255
    x = _x(y, odd) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


_BASE_Y: Final = 4 * pow(5, -1, _P) % _P
_BASE_X: Final = _x(_BASE_Y, 0) or 0
_BASE: Final[Point] = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)
