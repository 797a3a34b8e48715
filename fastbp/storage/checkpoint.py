"""Models as files: written whole or not at all, read without running anything they contain.

A model is an ordinary ``.npz`` archive, uncompressed, which `numpy.load` opens too::

    header.json                            the network, the steps taken, what the user adds
    parameter/<layer>/kernel.npy, ...      one array per parameter
    state/<name>/<layer>/kernel.npy, ...   one array per parameter and quantity of the optimizer
    archive comment                        "fastbp sha256 " and the digest of every byte before it

The digest finds damage, a single flipped bit included. It is no signature: it does not say who
wrote the file. Nothing is pickled, and a layer is a kind out of a fixed list, so a hostile file can
at worst describe a network nobody wants.
"""

import errno
import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.array import nonfinite
from fastbp.check.message import shown
from fastbp.description import Description, Snapshot, arguments, describe
from fastbp.error import ModelFormatError
from fastbp.layer.architecture import lower
from fastbp.loss import Loss
from fastbp.plan.parameter import ParameterLayout
from fastbp.storage.archive import FORMAT, MAX_HEADER_BYTES, VERSION, pack, unpack
from fastbp.version import __version__

# A width that needs no weights to be believed: identities side by side have none.
_ANY_WIDTH = 1 << 16

Arrays = Mapping[str, NDArray[Any]]
PathLike = str | os.PathLike[str]


def write(path: PathLike, snapshot: Snapshot) -> None:
    """Write a network to `path`.

    The file appears under its name only when it is complete; until then, and after any failure, an
    older file of that name is untouched. A symbolic link is followed, the mode of an existing file
    kept.

    Raises:
        ValueError: a number is not finite, or the description is longer than 1 MiB.
        TypeError: JSON cannot hold `extra`.
        OSError: the file cannot be written.
    """
    arrays = {f"parameter/{name}": array for name, array in snapshot.parameters.items()}
    arrays |= {f"state/{name}": array for name, array in snapshot.state.items()}
    for name, array in arrays.items():
        if problem := nonfinite(array):
            raise ValueError(f"{name} {problem}; the model was not saved")
    entries = {"format": FORMAT, "version": VERSION, "writer": __version__}
    entries |= {"network": snapshot.config, "steps": int(snapshot.steps), "extra": snapshot.extra}
    header = json.dumps(entries, allow_nan=False, ensure_ascii=False).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise ValueError(
            f"the description of the model takes {len(header)} bytes, "
            f"at most {MAX_HEADER_BYTES} can be stored"
        )
    _replace_file(path, pack(header, arrays))


def read(path: PathLike, *, allow_nonfinite: bool = False) -> Snapshot:
    """Read what `write` wrote.

    The names, shapes and types of the arrays are those that the description asks for; whether a
    network can be made of it, as its loss must go with its last layer, shows when one is.

    Args:
        allow_nonfinite: accept NaN and infinity in the arrays, to look at a model which is beyond
            use.

    Raises:
        ModelFormatError: the file is damaged, is no fastbp model, or comes from a later format.
        OSError: the file cannot be read.
        TypeError: `path` is none.
    """
    header, arrays = unpack(_read_file(path))
    config = header["network"]
    description, layout = _network(config, arrays)
    shapes = {tensor.name: tensor.shape for tensor in layout.tensors}
    parameters = _take(arrays, "parameter/", shapes, description.dtype, allow_nonfinite)
    slots = description.optimizer.vectors
    vectors = {f"{slot}/{name}": shape for slot in slots for name, shape in shapes.items()}
    state = _take(arrays, "state/", vectors, description.dtype, allow_nonfinite)
    counters = {"power": (3 if description.optimizer.ema else 2,), "epochs": (1,)}
    state |= _take(arrays, "state/", counters, np.dtype(np.float64), allow_nonfinite)
    if arrays:
        raise ModelFormatError(
            f"the file has an array {next(iter(arrays))!r}, which the architecture does not"
        )
    try:
        int(state["epochs"][0])
    except (ValueError, OverflowError) as error:
        raise ModelFormatError(f"the file's optimizer state is of no use: {error}") from error
    return Snapshot(config, parameters, state, header["steps"], header["extra"])


def _network(config: dict[str, Any], arrays: Arrays) -> tuple[Description, ParameterLayout]:
    """What `config` says, to the last entry, and where the parameters lie; layers which the file's
    arrays do not fill are refused, before memory is taken for them.
    """
    try:
        found = describe(**arguments(config))
        layout = ParameterLayout(found.dtype)
        # Any loss will do: only the shapes are of interest here.
        graph = lower(found.layers, Loss("mse"), layout)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ModelFormatError(
            f"the file describes no valid network: {type(error).__name__}: {error}"
        ) from error
    if json.loads(json.dumps(found.to_config())) != config:
        raise ModelFormatError("the file's description of the network has extra or other keys")
    for tensor in layout.tensors:
        _require(arrays, f"parameter/{tensor.name}", tensor.shape)
    widest = max(graph.width)
    if widest > max(_ANY_WIDTH, sum(array.size for array in arrays.values())):
        raise ModelFormatError(f"a layer is {widest} wide, more than the file's weights can feed")
    return found, layout


def _require(arrays: Arrays, name: str, shape: tuple[int, ...]) -> None:
    if name not in arrays:
        raise ModelFormatError(f"the file has no array {name!r}")
    if arrays[name].shape != shape:
        raise ModelFormatError(f"{name} is {arrays[name].shape}, architecture says {shape}")


def _take(
    arrays: dict[str, NDArray[Any]],
    prefix: str,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: np.dtype[Any],
    allow_nonfinite: bool,
) -> dict[str, NDArray[Any]]:
    """Move the arrays of these names, shapes and type out of `arrays`."""
    taken = {}
    for name, shape in shapes.items():
        _require(arrays, prefix + name, shape)
        array = arrays.pop(prefix + name)
        if array.dtype != dtype:
            raise ModelFormatError(f"{prefix + name} is {array.dtype}, architecture says {dtype}")
        if not allow_nonfinite and (problem := nonfinite(array)):
            raise ModelFormatError(f"{prefix + name} {problem}")
        taken[name] = array
    return taken


def _read_file(path: PathLike) -> bytes:
    """All bytes of a regular file. A FIFO would block and a device might never end."""
    _check_path(path)
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder, `open` says so
        raise ModelFormatError(f"{os.fspath(path)!r} is not a regular file")
    with open(path, "rb") as stream:
        return stream.read()


def _check_path(path: object) -> None:
    """The system's calls take a number too, for a file that is open."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be a str or an os.PathLike, got {shown(path)}")


def check_destination(path: PathLike) -> None:
    """Raise what `write` would raise of `path` alone, so that it comes before hours of training."""
    _check_path(path)
    target = os.path.realpath(path)
    if not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        raise ValueError(f"{os.fspath(path)!r} is not a regular file")
    if not os.access(os.path.dirname(target), os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))


def _replace_file(path: PathLike, data: bytes) -> None:
    """Put `data` in the place of the file at `path` in one step that a crash cannot split."""
    check_destination(path)
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")
    # 0o666 is cut by the process's mask, as for any new file.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):  # a signal handler may raise once it is replaced
            os.unlink(temporary)
        raise
    if hasattr(os, "O_DIRECTORY"):  # make the new name durable where a folder can be opened
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
