"""What a model file holds of its training: history, states of callbacks, the epoch under way.

Numbers that may be many are arrays of the file; the rest is the header's "training".
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.check.array import nonfinite
from fastbp.description import Snapshot, Unfinished
from fastbp.error import ModelFormatError
from fastbp.history import History

Arrays = dict[str, NDArray[Any]]

_REFERENCE = "array of the file"  # the key of what stands for an array in a callback's state
_KINDS = "biuf"


def write_training(snapshot: Snapshot, arrays: Arrays) -> dict[str, Any]:
    """The header's entry; the arrays are added to `arrays`.

    Raises:
        TypeError, ValueError: the state of a callback is none that a file can hold.
    """
    callbacks = []
    for i, (name, state) in enumerate(snapshot.callbacks):
        where = f"callback/{i}"
        callbacks.append({"class": name, "state": _without_arrays(state, where, name, arrays)})
    for name, array in snapshot.kept.items():
        arrays[f"kept/{name}"] = array
    return {
        "history": _write_history(snapshot.history, arrays),
        "callbacks": callbacks,
        "kept": bool(snapshot.kept),
        "kept_rate": snapshot.kept_rate,
        "order": snapshot.order,
        "unfinished": _write_unfinished(snapshot.unfinished, arrays),
    }


def read_training(entry: Any, arrays: Arrays, parameters: Arrays, n_outputs: int) -> dict[str, Any]:
    """What `write_training` made of a snapshot, by the names of its attributes; the arrays are
    taken out of `arrays`.

    Raises ModelFormatError.
    """
    keys = {"history", "callbacks", "kept", "kept_rate", "order", "unfinished"}
    entry = _object(entry, keys, "training")
    if not isinstance(entry["order"], dict | None):
        raise ModelFormatError("the header's 'order' is not an object")
    if not isinstance(entry["callbacks"], list):
        raise ModelFormatError("the header's 'callbacks' are no list")
    callbacks = []
    for one in entry["callbacks"]:
        one = _object(one, {"class", "state"}, "callbacks")
        if not isinstance(one["class"], str) or not isinstance(one["state"], dict):
            raise ModelFormatError("the header's 'callbacks' are no states")
        callbacks.append((one["class"], _with_arrays(one["state"], arrays)))
    return {
        "history": _read_history(entry["history"], arrays),
        "callbacks": callbacks,
        "kept": _read_kept(entry["kept"], arrays, parameters),
        "kept_rate": _read_rate(entry["kept_rate"]),
        "order": entry["order"],
        "unfinished": _read_unfinished(entry["unfinished"], arrays, n_outputs),
    }


# history


def _write_history(history: History, arrays: Arrays) -> dict[str, Any]:
    arrays["history/epoch"] = np.array(history.epoch, np.int64)
    for name, values in history.history.items():
        arrays[f"history/figure/{name}"] = np.array(values, np.float64)
    for name, place in history._place.items():
        arrays[f"history/place/{name}"] = np.array(place, np.int64)
    return {
        "figures": [*history.history], "places": [*history._place],
        "stopped": history.stopped, "reason": history.reason,
    }  # fmt: skip


def _read_history(entry: Any, arrays: Arrays) -> History:
    entry = _object(entry, {"figures", "places", "stopped", "reason"}, "history")
    for name in ("stopped", "reason"):
        if not isinstance(entry[name], str | None):
            raise ModelFormatError(f"the header's {name!r} is no text")
    for name in ("figures", "places"):
        names = entry[name]
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise ModelFormatError(f"the header's {name!r} are no names")
    history = History()
    history.stopped, history.reason = entry["stopped"], entry["reason"]
    history.epoch = _take(arrays, "history/epoch", np.int64).tolist()
    n = len(history.epoch)
    for name in entry["figures"]:
        history.history[name] = _take(arrays, f"history/figure/{name}", np.float64).tolist()
    for name in entry["places"]:
        place = _take(arrays, f"history/place/{name}", np.int64)
        if np.any(np.diff(place) <= 0) or np.any(place < 0) or np.any(place >= n):
            raise ModelFormatError(f"the places of {name!r} in the history are no epochs")
        history._place[name] = place.tolist()
    for name, values in history.history.items():
        own = history._place.get(name)
        if len(values) > n or (own is not None and len(values) != len(own)):
            raise ModelFormatError(f"the history has {len(values)} values of {name!r}")
    if history._place.keys() - history.history.keys():
        raise ModelFormatError("the history has places of figures that it lacks")
    return history


# what training goes on with where the last hooks have set other numbers


def _read_kept(entry: Any, arrays: Arrays, parameters: Arrays) -> Arrays:
    if not isinstance(entry, bool):
        raise ModelFormatError("the header's 'kept' is neither true nor false")
    found = {}
    for name, own in parameters.items() if entry else ():
        held = arrays.pop(f"kept/{name}", None)
        if held is None or held.shape != own.shape or held.dtype != own.dtype:
            raise ModelFormatError(f"kept/{name} is not there, or is no such parameter")
        if problem := nonfinite(held):
            raise ModelFormatError(f"kept/{name} {problem}")
        found[name] = held
    return found


def _read_rate(entry: Any) -> float | None:
    if entry is None:
        return None
    if not _is_number(entry) or entry < 0:
        raise ModelFormatError(f"the header has the learning rate {entry!r}")
    return float(entry)


# the epoch under way


def _write_unfinished(one: Unfinished | None, arrays: Arrays) -> dict[str, Any] | None:
    if one is None:
        return None
    arrays["unfinished/sums"] = one.sums
    if one.outputs is not None:
        arrays["unfinished/outputs"] = one.outputs
    numbers = {name: int(getattr(one, name)) for name in ("number", "batches", "first_step")}
    own = {"order": one.order, "figures": one.figures, "outputs": one.outputs is not None}
    return numbers | own


def _read_unfinished(entry: Any, arrays: Arrays, n_outputs: int) -> Unfinished | None:
    if entry is None:
        return None
    numbers = ("number", "batches", "first_step")
    entry = _object(entry, {*numbers, "order", "figures", "outputs"}, "unfinished")
    for name in numbers:
        if type(entry[name]) is not int or not 0 <= entry[name] < 1 << 63:
            raise ModelFormatError(f"the header has {name} {entry[name]!r}")
    if not isinstance(entry["order"], dict) or not isinstance(entry["outputs"], bool):
        raise ModelFormatError("the header's 'unfinished' is no epoch")
    _check_figures(entry["figures"], entry["order"])
    sums, outputs = _take(arrays, "unfinished/sums", np.float64), None
    if len(sums) != 2 + len(entry["order"]["metrics"]):
        raise ModelFormatError("unfinished/sums has another number of figures")
    if entry.pop("outputs"):
        outputs = arrays.pop("unfinished/outputs", None)
        if outputs is None or outputs.ndim != 2 or outputs.shape[1] != n_outputs:
            raise ModelFormatError("unfinished/outputs is not there, or of another shape")
    return Unfinished(**entry, sums=sums, outputs=outputs)


def _check_figures(figures: Any, order: dict[str, Any]) -> None:
    names = order.get("metrics")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelFormatError("the header's 'metrics' are no names")
    if figures is not None and (
        not isinstance(figures, dict)
        or figures.keys() != {"loss", *names}
        or not all(_is_number(value) for value in figures.values())
    ):
        raise ModelFormatError("the header's 'figures' are no numbers of these metrics")


# states of callbacks


def _without_arrays(value: Any, where: str, name: str, arrays: Arrays) -> Any:
    """The same with references in the place of arrays, which go into `arrays`."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS or value.dtype.itemsize > 8 or value.dtype == np.float16:
            raise TypeError(f"state of {name}: no file holds an array of {value.dtype}")
        arrays[where] = value.copy()
        return {_REFERENCE: where}
    if isinstance(value, dict):
        if _REFERENCE in value or not all(isinstance(key, str) for key in value):
            raise TypeError(f"state of {name}: keys must be text")
        return {k: _without_arrays(v, f"{where}/{k}", name, arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(v, f"{where}/{i}", name, arrays) for i, v in enumerate(value)]
    if isinstance(value, float) and not np.isfinite(value):
        return _without_arrays(np.array(value), where, name, arrays)
    if not isinstance(value, str | int | float | None):
        raise TypeError(f"state of {name}: no file holds {value!r} (JSON and arrays)")
    return value


def _with_arrays(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, list):
        return [_with_arrays(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    if _REFERENCE not in value:
        return {key: _with_arrays(one, arrays) for key, one in value.items()}
    where = value[_REFERENCE]
    if not isinstance(where, str) or not where.startswith("callback/") or where not in arrays:
        raise ModelFormatError(f"the state of a callback needs an array {where!r}")
    found = arrays.pop(where)
    return found if found.ndim else found.item()


# all of them


def _is_number(value: Any) -> bool:
    """Of JSON's whole numbers some are beyond every float."""
    return type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max)


def _object(value: Any, keys: set[str], name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise ModelFormatError(f"the header's {name!r} has other keys than {', '.join(keys)}")
    return dict(value)


def _take(arrays: Arrays, name: str, dtype: type) -> NDArray[Any]:
    found = arrays.pop(name, None)
    if found is None or found.ndim != 1 or found.dtype != dtype:
        raise ModelFormatError(f"{name} is not there, or no row of {np.dtype(dtype)}")
    return found
