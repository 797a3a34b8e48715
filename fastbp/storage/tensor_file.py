"""The bytes of a .safetensors model: its one entry of metadata, "fastbp", is the JSON header of an
archive, with a digest of every other byte of the file at its beginning.

The library `safetensors` writes and reads the tensors.  What it leaves open is looked at before:
how much the names of the tensors may take, and that none is there twice.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.error import ModelFormatError
from fastbp.storage.header import MAX_HEADER_BYTES, read_header, read_json

# What a file begins with, after the length of the names; then the digest in hexadecimal.
_BEGIN = rb'{"__metadata__":{"fastbp":"{\"sha256\": \"'
_PLACE = slice(8 + len(_BEGIN), 8 + len(_BEGIN) + 64)
_ZEROS = b"0" * 64
_ENTRY = {"dtype", "shape", "data_offsets"}
_DTYPES = {
    "F32": "<f4", "F64": "<f8", "BOOL": "|b1", "I8": "|i1", "I16": "<i2", "I32": "<i4",
    "I64": "<i8", "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
}  # fmt: skip


def is_tensor_file(data: bytes) -> bool:
    """By what every file of the kind begins with: the length of an object of JSON, and that."""
    length = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and length + 8 <= max(len(data), 2 * MAX_HEADER_BYTES)


def library() -> Any:
    """`safetensors`.

    Raises ImportError that names the extra.
    """
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "a .safetensors file needs safetensors: pip install 'fastbp[safetensors]'"
        ) from None
    return safetensors


def pack(header: bytes, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file, the digest in its place."""
    text = '{"sha256": "' + _ZEROS.decode() + '", ' + header.decode()[1:]
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = bytearray(library().numpy.save(tensors, {"fastbp": text}))
    if data[8 : _PLACE.start] != _BEGIN or data[_PLACE] != _ZEROS:
        raise RuntimeError("this version of safetensors writes its metadata in another way")
    data[_PLACE] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a file, everything checked that needs no network."""
    if data[8 : _PLACE.start] != _BEGIN:
        raise ModelFormatError("a .safetensors file, but no fastbp model: nothing of it is there")
    digest = hashlib.sha256(data[: _PLACE.start])
    digest.update(_ZEROS)
    digest.update(memoryview(data)[_PLACE.stop :])
    if digest.hexdigest().encode() != data[_PLACE]:
        raise ModelFormatError("checksum mismatch (file damaged)")
    # twice as long, for the header is text within text
    names = read_json(data[8 : 8 + int.from_bytes(data[:8], "little")], most=2 * MAX_HEADER_BYTES)
    header = _read_metadata(names.pop("__metadata__"))
    for name, entry in names.items():
        is_entry = isinstance(entry, dict) and entry.keys() == _ENTRY
        if not is_entry or str(entry["dtype"]) not in _DTYPES:
            raise ModelFormatError(f"{name} is no array of numbers")
    safetensors = library()
    try:
        found = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise ModelFormatError(f"the tensors cannot be read: {error}") from error
    return header, {name: _array(name, **entry) for name, entry in found}


def _read_metadata(metadata: Any) -> dict[str, Any]:
    text = metadata.get("fastbp") if isinstance(metadata, dict) else None
    if not isinstance(text, str) or len(metadata) != 1:
        raise ModelFormatError("the file has other metadata than expected")
    begin = len('{"sha256": "", ') + len(_ZEROS)
    return read_header(b"{" + text[begin:].encode("utf-8", "surrogatepass"))


def _array(name: str, *, dtype: str, shape: list[int], data: Any) -> NDArray[Any]:
    values = np.frombuffer(data, _DTYPES[dtype])
    if values.dtype == np.bool_ and values.view(np.uint8).max(initial=0) > 1:
        raise ModelFormatError(f"{name} is bool and has a byte above 1")
    return values.reshape(shape).astype(values.dtype.newbyteorder("="), copy=False)
