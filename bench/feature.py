"""`python -m bench.feature`: docs/feature.md, from the tables of the installed package."""

import inspect
import re
from pathlib import Path
from typing import Any

import fastbp as fb
from fastbp import callback
from fastbp.activation import ACTIVATIONS
from fastbp.derivative import Differentiable
from fastbp.inspection import derivative, hessian
from fastbp.layer import Layer
from fastbp.loss import LOSSES
from fastbp.metric.table import METRICS
from fastbp.optimizer import OPTIMIZERS
from fastbp.schedule import SCHEDULES

root = Path(__file__).resolve().parents[1]
PAGE = root / "docs" / "feature.md"
HEAD = """# Features

What there is, where it is defined, and a test that proves it. `python -m bench.feature` writes this
page from the tables of the package; a test compares.
"""
FORMULA = "fastbp/formula"
# The tests that run once for each of a kind.
PROOF = {
    "layer": "tests/test_gradient.py::test_gradients_of_random_networks",
    "activation": "tests/kernel/test_kernel.py::test_activation",
    "loss": "tests/loss/test_loss.py::test_value_and_gradient_by_hand",
    "optimizer": "tests/optimizer/test_optimizer.py::test_steps_with_given_gradients",
    "schedule": "tests/schedule/test_schedule.py::test_values",
    "metric": "tests/metric/test_metric.py::test_value_by_hand",
    "derivative": "tests/inspection/test_derivative.py::test_losses_of_rows_of_random_networks",
}
# Where a feature has another test.
OF_ITS_OWN = {
    "Input": "tests/layer/test_layer.py",
    "Input(categorical=)": "tests/layer/test_embedding.py::test_by_hand",
    "Dropout": "tests/layer/test_regularization.py::test_a_step_against_the_oracle",
    "GaussianNoise": "tests/layer/test_regularization.py::test_noise_is_normal",
    "LayerNorm": "tests/layer/test_normalization.py::test_by_hand",
    "BatchNorm": "tests/layer/test_batch_norm.py::test_by_hand",
    "Heads": "tests/layer/test_heads.py::test_by_hand",
    "NonCrossing": "tests/layer/test_non_crossing.py::test_levels_never_cross",
    "PReLU": "tests/layer/test_prelu.py::test_by_hand",
    "log_softmax": "tests/layer/test_prelu.py::test_log_softmax",
    "Scale": "tests/layer/test_pointwise.py::test_by_hand",
    "Standardize": "tests/layer/test_pointwise.py::test_by_hand",
    "jacobian": "tests/inspection/test_derivative.py::test_jacobians_of_random_networks",
    "hessian_vector_product": "tests/inspection/test_hessian.py::test_random_networks",
    "LevenbergMarquardt": "tests/optimizer/test_levenberg_marquardt.py::test_the_equations",
    "LBFGS": "tests/optimizer/test_lbfgs.py::test_the_minimum_of_scipy",
    "softmax": "tests/test_gradient.py::test_gradients_of_random_networks",
    "accuracy": "tests/metric/test_metric.py::test_accuracy",
    "EarlyStopping": "tests/callback/test_early_stopping.py::test_as_keras_does",
    "ReduceLROnPlateau": "tests/callback/test_learning_rate.py::test_plateaus_as_keras_does",
    "LearningRateScheduler":
        "tests/callback/test_learning_rate.py::test_schedules_of_one_and_two_arguments",
    "ModelCheckpoint": "tests/callback/test_logs.py::test_a_file_an_epoch",
    "CSVLogger": "tests/callback/test_logs.py::test_a_line_an_epoch",
    "TensorBoard": "tests/callback/test_logs.py::test_tensorboard",
    "TerminateOnNaN": "tests/callback/test_hooks.py::test_a_divergence_that_is_expected",
    "LambdaCallback": "tests/callback/test_hooks.py",
    "Callback": "tests/callback/test_hooks.py::test_called_in_the_order_of_keras",
}  # fmt: skip


def place(value: Any) -> str:
    """The file in which a class or a function is defined."""
    path = inspect.getfile(inspect.unwrap(value)).replace("\\", "/")
    return "fastbp/" + path.rpartition("/fastbp/")[2]


def features() -> list[tuple[str, str, str]]:
    """(kind, name, file) of everything, in the order of the tables."""
    public = [getattr(fb, name) for name in fb.__all__]
    classes = [value for value in public if inspect.isclass(value)]
    found = [
        ("layer", kind.__name__, place(kind))
        for kind in classes if issubclass(kind, Layer) and kind is not Layer
    ]  # fmt: skip
    found.append(("layer", "Input(categorical=)", "src/engine/embedding.pxi"))
    rows = "src/kernel/activation.pxi"
    found += [
        ("activation", name, rows if name == "softmax" else f"{FORMULA}/activation.py")
        for name in ACTIVATIONS
    ]
    for name in LOSSES:
        own = {"cross_entropy": "src/kernel/cross_entropy.pxi"}
        own |= dict.fromkeys(("class_loss", "cosine"), "src/kernel/row_loss.pxi")
        found.append(("loss", name, own.get(fb.Loss(name).formula, f"{FORMULA}/loss.py")))
    found += [("optimizer", kind.__name__, place(kind)) for kind in OPTIMIZERS.values()]
    found += [("schedule", kind.__name__, place(kind)) for kind in SCHEDULES.values()]
    found += [("metric", name, place(kind.formula)) for name, kind in METRICS.items()]
    found += [
        ("derivative", name, place(getattr(hessian if "hessian" in name else derivative, name)))
        for name in vars(Differentiable) if not name.startswith("_")
    ]  # fmt: skip
    known = [value for value in vars(callback).values() if inspect.isclass(value)]
    known = [*known, *(kind for kind in classes if kind not in known)]
    found += [
        ("callback", kind.__name__, place(kind))
        for kind in known if issubclass(kind, callback.Callback) and kind.__name__ in fb.__all__
    ]  # fmt: skip
    return found


def proof(kind: str, name: str) -> str:
    """The test of a feature; raises LookupError where there is none."""
    test = OF_ITS_OWN.get(name) or PROOF.get(kind)
    if test is None:
        raise LookupError(f"{kind} {name} has no test: name it in bench/feature.py")
    file, _, function = test.partition("::")
    text = (root / file).read_text(encoding="utf-8")
    if function and not re.search(rf"^def {function}\(", text, re.MULTILINE):
        raise LookupError(f"there is no {test}")
    return test


def page() -> str:
    """The text of docs/feature.md."""
    lines = [HEAD, "| kind | feature | defined in | tested by |", "|---|---|---|---|"]
    lines += [
        f"| {kind} | `{name}` | `{file}` | `{proof(kind, name)}` |"
        for kind, name, file in features()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
