"""The description in a model file: JSON that is read strictly, at a cost known before."""

import json
import math
from typing import Any

from fastbp.error import ModelFormatError
from fastbp.version import __version__

FORMAT = "fastbp model"
VERSION = 2
MAX_HEADER_BYTES = 1 << 22

_FIRST_KEYS = {"format", "version", "writer", "network", "steps", "extra"}
_KEYS = {1: _FIRST_KEYS, 2: _FIRST_KEYS | {"metadata", "feature_names", "training"}}
# What Python takes for each sign of a container and for each comma, at most; and what is granted.
_CONTAINER_BYTES, _COMMA_BYTES = 256, 64
_GRANTED_BYTES, _GRANTED_TIMES = 1 << 22, 16


def write_header(entries: dict[str, Any]) -> bytes:
    """As `read_header` takes it.

    Raises:
        ValueError: too long, or a number is not finite.
        TypeError: JSON cannot hold it.
    """
    entries = {"format": FORMAT, "version": VERSION, "writer": __version__} | entries
    text = json.dumps(entries, allow_nan=False, ensure_ascii=False).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(
            f"the description of the model takes {len(text)} bytes, "
            f"at most {MAX_HEADER_BYTES} can be stored"
        )
    if problem := _costs(text):
        raise ValueError(problem.replace("the header", "the description of the model"))
    return text


def read_header(text: bytes) -> dict[str, Any]:
    """The header as a dict with exactly the keys it must have."""
    header = read_json(text)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelFormatError("the header does not describe a fastbp model")
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise ModelFormatError(f"the header has version {version!r}, expected a positive integer")
    if version > VERSION:
        raise ModelFormatError(
            f"format {version} (written by fastbp {header.get('writer')!r}) needs a later fastbp: "
            f"this is {__version__}, which reads format {VERSION}"
        )
    if header.keys() != _KEYS[version]:
        odd = sorted(header.keys() ^ _KEYS[version])
        raise ModelFormatError(f"the header has other keys than expected: {', '.join(odd)}")
    if not isinstance(header["network"], dict):
        raise ModelFormatError("the header's 'network' is not an object")
    if type(header["steps"]) is not int or not 0 <= header["steps"] < 1 << 63:
        raise ModelFormatError(
            f"the header has steps {header['steps']!r}, expected an integer from 0 to 2^63 - 1"
        )
    return header


def read_json(text: bytes, *, most: int = MAX_HEADER_BYTES) -> Any:
    """JSON without a key twice and numbers that are none, of a bounded cost."""
    if len(text) > most:
        raise ModelFormatError(f"header length {len(text)} exceeds {most}")
    if problem := _costs(text):
        raise ModelFormatError(problem)
    try:
        return json.loads(
            text.decode(), object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except ModelFormatError:
        raise
    except RecursionError:
        raise ModelFormatError("the header is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ModelFormatError(f"the header is not JSON: {error}") from error


def _costs(text: bytes) -> str:
    """What is wrong with JSON whose objects would take many times its own length."""
    n_containers = sum(text.count(sign) for sign in (b"[", b"{", b":"))
    cost = _CONTAINER_BYTES * n_containers + _COMMA_BYTES * text.count(b",")
    if cost <= _GRANTED_BYTES + _GRANTED_TIMES * len(text):
        return ""
    return f"the header has too many entries: {n_containers} in {len(text)} bytes"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ModelFormatError(f"the header has the key {name!r} twice")
        result[name] = value
    return result


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ModelFormatError(f"the header has the number {text}")
    return value
