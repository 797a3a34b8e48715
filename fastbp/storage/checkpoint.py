"""Models as files: written whole or not at all, read without running anything they contain.

A model is an ordinary ``.npz`` archive, uncompressed, which `numpy.load` opens too, or with the
extra a ``.safetensors`` file, whose tensors have the same names and whose metadata is the header::

    header.json                            the network, the steps taken, what the user adds
    parameter/<layer>/kernel.npy, ...      one array per parameter
    state/<name>/<layer>/kernel.npy, ...   one array per parameter and quantity of the optimizer
    history/..., callback/..., unfinished/...  what a further `fit` goes on from (training.py)
    archive comment                        "fastbp sha256 " and the digest of every byte before it

The digest finds damage, a single flipped bit included. It is no signature: it does not say who
wrote the file. Nothing is pickled, and a layer is a kind out of a fixed list, so a hostile file can
at worst describe a network nobody wants.
"""

import json
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.array import nonfinite
from fastbp.check.file_name import check_suffix, is_tensor_path
from fastbp.check.input import check_variance
from fastbp.description import Description, Snapshot, arguments, describe
from fastbp.error import ModelFormatError
from fastbp.layer.architecture import lower
from fastbp.loss import Loss
from fastbp.plan import Graph
from fastbp.plan.parameter import ParameterLayout
from fastbp.storage import archive, tensor_file
from fastbp.storage.header import write_header
from fastbp.storage.replace import PathLike, check_path, check_target, read_file, replace_file
from fastbp.storage.training import read_training, write_training

# A width that needs no weights to be believed: identities side by side have none.
_ANY_WIDTH = 1 << 16

Arrays = Mapping[str, NDArray[Any]]


def write(path: PathLike | IO[bytes], snapshot: Snapshot) -> None:
    """Write a network to `path`: a .safetensors file under such a name, else an .npz archive; that
    into an open binary file too.

    The file appears under its name only when it is complete; until then, and after any failure, an
    older file of that name is untouched. A symbolic link is followed, the mode of an existing file
    kept.

    Raises:
        ValueError: a number is not finite, the description is longer than 4 MiB, or the name is one
            of another format, such as model.pt.
        TypeError: JSON cannot hold `extra`, `metadata` or the state of a callback.
        ImportError: `safetensors` is not installed.
        OSError: the file cannot be written.
    """
    if hasattr(path, "write"):
        path.write(pack(snapshot))
        return
    check_path(path)
    check_suffix(path)
    replace_file(path, pack(snapshot, as_tensors=is_tensor_path(path)))


def pack(snapshot: Snapshot, *, as_tensors: bool = False) -> bytes:
    """The bytes of a file; errors as `write`."""
    arrays = {f"parameter/{name}": array for name, array in snapshot.parameters.items()}
    arrays |= {f"state/{name}": array for name, array in snapshot.state.items()}
    for name, array in arrays.items():
        if problem := nonfinite(array):
            raise ValueError(f"{name} {problem}; the model was not saved")
    names = snapshot.feature_names
    header = write_header({
        "network": snapshot.config, "steps": int(snapshot.steps), "extra": snapshot.extra,
        "metadata": snapshot.metadata, "feature_names": None if names is None else [*names],
        "training": write_training(snapshot, arrays),
    })  # fmt: skip
    return tensor_file.pack(header, arrays) if as_tensors else archive.pack(header, arrays)


def check_destination(path: PathLike) -> None:
    """Raise what `write` would raise of `path` alone, so that it comes before hours of training."""
    check_path(path)
    check_suffix(path)
    check_target(path)
    if is_tensor_path(path):
        tensor_file.library()


def format_of(data: bytes) -> str:
    """By what the bytes begin with: ".npz", ".safetensors", or "" for neither."""
    if data.startswith(archive.MAGIC):
        return ".npz"
    return ".safetensors" if tensor_file.is_tensor_file(data) else ""


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a file, of whichever kind its bytes are.

    Raises ModelFormatError.
    """
    found = format_of(data)
    if found:
        return archive.unpack(data) if found == ".npz" else tensor_file.unpack(data)
    raise ModelFormatError(f"not a fastbp model (first bytes {data[:4].hex(' ') or 'none'})")


def read(path: PathLike | IO[bytes], *, allow_nonfinite: bool = False) -> Snapshot:
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
    header, arrays = unpack(read_file(path))
    return snapshot_of(header, arrays, allow_nonfinite=allow_nonfinite)


def snapshot_of(
    header: dict[str, Any], arrays: dict[str, NDArray[Any]], *, allow_nonfinite: bool = False
) -> Snapshot:
    """What `unpack` found, checked; errors as `read`."""
    config = header["network"]
    description, layout, graph = _network(config, arrays)
    shapes = {tensor.name: tensor.shape for tensor in layout.tensors}
    parameters = _take(arrays, "parameter/", shapes, description.dtype, allow_nonfinite)
    slots = description.optimizer.vectors
    vectors = {f"{slot}/{name}": shape for slot in slots for name, shape in shapes.items()}
    try:
        for tensor in layout.running_variances:
            check_variance(tensor.name, parameters[tensor.name])
    except ValueError as error:
        raise ModelFormatError(str(error)) from None
    state = _take(arrays, "state/", vectors, description.dtype, allow_nonfinite)
    counters = {"power": (3 if description.optimizer.ema else 2,), "epochs": (1,)}
    state |= _take(arrays, "state/", counters, np.dtype(np.float64), allow_nonfinite)
    held = Snapshot(config, parameters, state, header["steps"], header["extra"])
    if header["version"] > 1:
        held.metadata = _metadata(header["metadata"])
        held.feature_names = _feature_names(header["feature_names"], graph.n_features)
        training = read_training(header["training"], arrays, parameters, graph.n_outputs)
        for name, value in training.items():
            setattr(held, name, value)
    if arrays:
        raise ModelFormatError(
            f"the file has an array {next(iter(arrays))!r}, which the architecture does not"
        )
    try:
        int(state["epochs"][0])
    except (ValueError, OverflowError) as error:
        raise ModelFormatError(f"the file's optimizer state is of no use: {error}") from error
    return held


def _metadata(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ModelFormatError("the header's 'metadata' is not an object")
    return entry


def _feature_names(entry: Any, n_features: int) -> tuple[str, ...] | None:
    if entry is None:
        return None
    is_list = isinstance(entry, list) and all(isinstance(name, str) for name in entry)
    if not is_list or len(entry) != n_features:
        raise ModelFormatError(f"the header's 'feature_names' are not {n_features} names")
    return tuple(entry)


def _network(config: dict[str, Any], arrays: Arrays) -> tuple[Description, ParameterLayout, Graph]:
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
    return found, layout, graph


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
