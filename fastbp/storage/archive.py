"""The bytes of an .npz model: a zip archive of a JSON header and arrays, a digest at its end.

`unpack` takes bytes from anywhere. It raises `ModelFormatError` for all that `pack` did not write,
runs nothing, and takes no more memory than a few times the size of what it is given.
"""

import hashlib
import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.error import ModelFormatError
from fastbp.storage.header import read_header

MAGIC = b"PK\x03\x04"
_COMMENT = b"fastbp sha256 "
_DIGEST_BYTES = 64  # in hexadecimal
# What `numpy.save` writes before an array of ours. A pattern rather than NumPy's own reader, which
# hands the text to Python's parser.
_ARRAY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '(<f[48]|<[iu][248]|\|[iu]1|\|b1)', 'fortran_order': False, "
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
    header = read_header(members.pop("header.json"))
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


def _read_array(name: str, content: bytes) -> NDArray[Any]:
    """An array as `pack` writes them: of numbers or bool, little-endian, in C order."""
    match = _ARRAY_HEADER.match(content)
    if match is None or int.from_bytes(match[1], "little") != match.end() - 10:
        raise ModelFormatError(f"{name} is no array of numbers in C order")
    dtype = np.dtype(match[2].decode())
    shape = tuple(int(size) for size in match[3].split(b",") if size.strip())
    present = len(content) - match.end()
    # Python's integers: the product cannot wrap.
    if math.prod(shape) * dtype.itemsize != present:
        raise ModelFormatError(f"{name} has shape {shape} and {present} bytes of {dtype}")
    values = np.frombuffer(content, dtype, offset=match.end()).reshape(shape)
    if dtype == np.bool_ and values.view(np.uint8).max(initial=0) > 1:
        raise ModelFormatError(f"{name} is bool and has a byte above 1")
    return values.astype(dtype.newbyteorder("="))
