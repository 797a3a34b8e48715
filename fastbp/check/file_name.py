"""What the name of a model file says of its format, when it is written."""

from __future__ import annotations

import os

from fastbp.check.message import shown

_TENSOR_SUFFIX = ".safetensors"
_FOREIGN = {  # what others write under such names
    ".pt": "PyTorch", ".pth": "PyTorch", ".ckpt": "PyTorch Lightning", ".h5": "Keras",
    ".hdf5": "Keras", ".keras": "Keras", ".onnx": "ONNX", ".pkl": "pickle", ".pickle": "pickle",
    ".joblib": "joblib", ".tflite": "TensorFlow Lite",
}  # fmt: skip


def is_tensor_path(path: str | os.PathLike[str]) -> bool:
    return os.fsdecode(path).lower().endswith(_TENSOR_SUFFIX)


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Raise ValueError for a name of another format."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    if suffix in _FOREIGN:
        raise ValueError(
            f"a model file is .npz or .safetensors, {shown(os.fspath(path))} would be one of "
            f"{_FOREIGN[suffix]}"
        )
