"""The bytes of a model file: a zip archive of a JSON header and arrays, with a digest at its end.

`unpack` takes bytes from anywhere. It raises `ModelFormatError` for all that `pack` did not write,
runs nothing, and takes no more memory than a few times the size of what it is given.
"""

import hashlib
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.error import ModelFormatError
from fastbp.version import __version__

FORMAT = "fastbp model"
VERSION = 1
MAX_HEADER_BYTES = 1 << 20

_HEADER_KEYS = {"format", "version", "writer", "network", "steps", "extra"}
_MAGIC = b"PK\x03\x04"
_COMMENT = b"fastbp sha256 "
_DIGEST_BYTES = 64  # in hexadecimal
# What `numpy.save` writes before an array of ours. A pattern rather than NumPy's own reader, which
# hands the text to Python's parser.
_ARRAY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '(<f[48])', 'fortran_order': False, "
    rb"'shape': \(((?:[0-9]{1,18},? ?)*)\), \} *\n",
    re.DOTALL,
)
# What `zipfile` raises of an archive it cannot read (NotImplementedError is a RuntimeError).
_UNREADABLE = (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, OSError, OverflowError,
               IndexError, struct.error)  # fmt: skip
# A fixed date (the first a zip archive knows) makes equal models equal files.
_DATE = (1980, 1, 1, 0, 0, 0)


def pack(header: bytes, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An archive of the members header.json and NAME.npy, the digest in its comment."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("header.json", _DATE), header)
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _DATE)
            if info.filename != f"{name}.npy":  # cut at a zero byte, for one
                raise ValueError(f"a model file cannot hold the name {name!r}")
            member = io.BytesIO()
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            archive.writestr(info, member.getvalue())
        # The comment is the end of the archive, so the digest can be filled in afterwards.
        archive.comment = _COMMENT + b"0" * _DIGEST_BYTES
    content = buffer.getvalue()[:-_DIGEST_BYTES]
    return content + hashlib.sha256(content).hexdigest().encode()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of an archive, everything checked that needs no network."""
    if not data.startswith(_MAGIC):
        raise ModelFormatError(f"not a fastbp model (first bytes {data[:4].hex(' ') or 'none'})")
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not content.endswith(_COMMENT):
        raise ModelFormatError(
            "no checksum at the end: the file is cut short, or an archive which is no fastbp model"
        )
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ModelFormatError("checksum mismatch (file damaged)")
    members = _read_members(data)
    if "header.json" not in members:
        raise ModelFormatError("the archive has no header.json")
    header = _read_header(members.pop("header.json"))
    arrays = {}
    for name, content in members.items():
        if not name.endswith(".npy"):
            raise ModelFormatError(f"the archive has a member {name!r}, which no model has")
        arrays[name[:-4]] = _read_array(name[:-4], content)
    return header, arrays


def _read_members(data: bytes) -> dict[str, bytes]:
    """Name and content of the members of an uncompressed archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) != len(entries):
                raise ModelFormatError("the archive has two members of one name")
            # Stored, not compressed, and no more in all than the file is long: no archive of a few
            # bytes can unfold to gigabytes.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ModelFormatError("the archive has a compressed member, which no model has")
            if sum(entry.file_size for entry in entries) > len(data):
                raise ModelFormatError("the archive's members overlap")
            return {entry.filename: archive.read(entry) for entry in entries}
    except ModelFormatError:
        raise
    except _UNREADABLE as error:
        raise ModelFormatError(f"the archive cannot be read: {error}") from error


def _read_header(text: bytes) -> dict[str, Any]:
    """The header as a dict with exactly the keys it must have."""
    if len(text) > MAX_HEADER_BYTES:
        raise ModelFormatError(f"header length {len(text)} exceeds {MAX_HEADER_BYTES}")
    try:
        header = json.loads(
            text.decode(), object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except ModelFormatError:
        raise
    except RecursionError:
        raise ModelFormatError("the header is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ModelFormatError(f"the header is not JSON: {error}") from error
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
    if header.keys() != _HEADER_KEYS:
        odd = sorted(header.keys() ^ _HEADER_KEYS)
        raise ModelFormatError(f"the header has other keys than expected: {', '.join(odd)}")
    if not isinstance(header["network"], dict):
        raise ModelFormatError("the header's 'network' is not an object")
    if type(header["steps"]) is not int or not 0 <= header["steps"] < 1 << 63:
        raise ModelFormatError(
            f"the header has steps {header['steps']!r}, expected an integer from 0 to 2^63 - 1"
        )
    return header


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


def _read_array(name: str, content: bytes) -> NDArray[Any]:
    """An array as `pack` writes them: float32 or float64, little-endian, in C order."""
    match = _ARRAY_HEADER.match(content)
    if match is None or int.from_bytes(match[1], "little") != match.end() - 10:
        raise ModelFormatError(f"{name} is no array of float32 or float64 in C order")
    dtype = np.dtype(match[2].decode())
    shape = tuple(int(size) for size in match[3].split(b",") if size.strip())
    present = len(content) - match.end()
    # Python's integers: the product cannot wrap.
    if math.prod(shape) * dtype.itemsize != present:
        raise ModelFormatError(f"{name} has shape {shape} and {present} bytes of {dtype}")
    values = np.frombuffer(content, dtype, offset=match.end()).reshape(shape)
    return values.astype(dtype.newbyteorder("="))
