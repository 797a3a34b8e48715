"""`fastbp inspect`: what is in a model file."""

import argparse
import hashlib
import json
import math
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from fastbp.description import Snapshot, arguments, describe
from fastbp.error import ModelFormatError


def add_parser(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "inspect",
        help="print what is in a model file",
        description="Print what is in a model file: architecture, parameters, training, "
        "preprocessing, metadata, versions and checksum.",
    )
    parser.add_argument("model", metavar="model.npz")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    try:
        found = inspected(options.model)
    except ModelFormatError as error:
        raise ModelFormatError(f"{options.model}: {error}") from error
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(_said(found))))
    return 0


def inspected(path: str) -> dict[str, Any]:
    """What is in a model file, section by section, as JSON can hold it; those that it lacks are
    left out.

    Raises:
        ModelFormatError, OSError: as `Network.load`.
    """
    from fastbp.storage.checkpoint import format_of, snapshot_of, unpack
    from fastbp.storage.replace import read_file

    data = read_file(path)
    header, arrays = unpack(data)
    held = snapshot_of(header, arrays, allow_nonfinite=True)
    sections = {
        "file": {
            "path": path, "bytes": len(data), "format": format_of(data),
            "format version": header["version"], "written by": f"fastbp {header['writer']}",
            "sha256": hashlib.sha256(data).hexdigest(),
        },
        "architecture": _architecture(held),
        "parameters": _parameters(held),
        "training": _training(held),
        "features": None if held.feature_names is None else [*held.feature_names],
        "preprocessing": held.extra if held.extra else None,
        "metadata": held.metadata or None,
    }  # fmt: skip
    return {name: section for name, section in sections.items() if section is not None}


def _architecture(held: Snapshot) -> dict[str, Any]:
    config = held.config
    return {
        "layers": config["layers"],
        "loss": config["loss"], "metrics": config["metrics"],
        "dtype": config["dtype"], "seed": config["seed"],
    }  # fmt: skip


def _parameters(held: Snapshot) -> dict[str, Any]:
    own = {
        name: {
            "shape": list(array.shape),
            "mean": _number(array.mean(dtype=float)),
            "standard deviation": _number(array.std(dtype=float)),
        }
        for name, array in held.parameters.items()
    }  # fmt: skip
    return {"count": sum(array.size for array in held.parameters.values())} | own


def _training(held: Snapshot) -> dict[str, Any]:
    history = held.history
    last = {}
    for name in history.history:
        values = history.rows(name)
        if values and values[-1] is not None:
            last[name] = _number(values[-1])
    found = {
        "optimizer": held.config["optimizer"],
        "steps": held.steps,
        "epochs": int(held.state["epochs"][0]),
        "epochs in history": len(history) or None,
        "last epoch": last or None,
        "ended": history.reason,
        "callbacks": [name for name, _ in held.callbacks] or None,
    }
    if held.unfinished is not None:
        left = held.unfinished
        found["unfinished"] = f"{left.batches} batches of epoch {left.number}, counted from 0"
    return {name: value for name, value in found.items() if value is not None}


def _number(value: float) -> float | str:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else str(float(value))


# as text


def _said(found: dict[str, Any]) -> dict[str, Any]:
    """The same with layers, loss and optimizer as one would write them in Python."""
    own = found["architecture"]
    config = {name: own[name] for name in ("layers", "loss", "metrics", "dtype", "seed")}
    network = describe(**arguments(config | {"optimizer": found["training"]["optimizer"]}))
    layers = [repr(layer) for layer in network.layers]
    architecture = own | {"layers": layers, "loss": repr(network.loss)}
    training = found["training"] | {"optimizer": repr(network.optimizer)}
    return found | {"architecture": architecture, "training": training}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    for i, (name, section) in enumerate(found.items()):
        if i:
            yield ""
        yield name
        if name == "parameters":
            yield from _parameter_lines(section)
        elif name == "features":
            yield from wrap(", ".join(section), 98, initial_indent="  ", subsequent_indent="  ")
        else:
            yield from _indented(section, 1)


def _parameter_lines(section: dict[str, Any]) -> Iterator[str]:
    rows = [("", "shape", "mean", "standard deviation")]
    for name, one in section.items():
        if isinstance(one, dict):
            shape = " x ".join(map(str, one["shape"]))
            rows.append((name, shape, _text(one["mean"]), _text(one["standard deviation"])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield f"  {section['count']:,} numbers"
    for row in rows:
        first = row[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  " + "  ".join([first, *others]).rstrip()


def _indented(value: Any, depth: int) -> Iterator[str]:
    """Names and values; what fits into a line stands in one."""
    space = "  " * depth
    pairs = value.items() if isinstance(value, dict) else (("-", one) for one in value)
    for name, one in pairs:
        label = name if name == "-" else f"{name}:"
        text = _text(one)
        is_long = len(space) + len(label) + len(text) > 98
        parts = one if isinstance(one, list) else []
        has_parts = name == "layers" or any(isinstance(part, dict) for part in parts)
        if has_parts or (isinstance(one, dict | list) and is_long):
            yield f"{space}{label}"
            yield from _indented(one, depth + 1)
        else:
            yield f"{space}{label} {text}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        named = [*value.items()]
        first = [_text(named.pop(0)[1])] if named and named[0][0] in ("kind", "name") else []
        return ", ".join([*first, *(f"{name} {_text(one)}" for name, one in named)])
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value) if value else "none"
    return "none" if value is None else str(value)
