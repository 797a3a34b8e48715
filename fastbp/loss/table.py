"""Every loss by its name: what it is, and the names that other libraries use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What a loss is.

    Attributes:
        link: what turns an output into the response that the loss is about.
        domain: which targets it takes: "real"; "direction", rows that count as a whole; "sign", 0
            or -1 and 1; "count", >= 0; "positive"; "interval", [0, 1]; "class", an index or a row
            of probabilities.
        is_mean_of_rows: a mean over the rows alone, not over the outputs too.
        parameters: arguments of `Loss` with their defaults.
    """

    link: str = "identity"
    domain: str = "real"
    is_mean_of_rows: bool = False
    parameters: tuple[tuple[str, float | None], ...] = ()


# The formulas are in formula/loss.py; what needs whole rows, the losses of classes and cosine, has
# kernels of its own.
_SMOOTHING = ("label_smoothing", 0.0)
LOSSES = {
    "mse": Kind(),
    "half_sse": Kind(is_mean_of_rows=True),
    "mae": Kind(),
    "huber": Kind(parameters=(("delta", 1.0),)),
    "log_cosh": Kind(),
    "quantile": Kind(parameters=(("q", 0.5),)),
    "gaussian_nll": Kind(),
    "poisson": Kind("log", "count"),
    "gamma": Kind("log", "positive"),
    "tweedie": Kind("log", "count", parameters=(("power", 1.5),)),
    "cosine": Kind(domain="direction", is_mean_of_rows=True),
    "hinge": Kind(domain="sign"),
    "squared_hinge": Kind(domain="sign"),
    "binary_cross_entropy": Kind(
        "logit", "interval", parameters=(_SMOOTHING, ("pos_weight", None))
    ),
    "binary_focal_cross_entropy": Kind(
        "logit", "interval", parameters=(("gamma", 2.0), ("alpha", None))
    ),
    "cross_entropy": Kind("softmax", "class", True, (_SMOOTHING,)),
    "focal_cross_entropy": Kind("softmax", "class", True, (("gamma", 2.0), _SMOOTHING)),
    "kl_divergence": Kind("softmax", "class", True),
}
# The activation that inverts a link: a loss with one takes its derivative together with its own.
RESPONSE = {"log": "exponential", "logit": "sigmoid", "softmax": "softmax"}
ALIASES = {
    "squarederror": "mse",
    "meansquarederror": "mse",
    "mseloss": "mse",
    "halfsquarederror": "half_sse",
    "absoluteerror": "mae",
    "meanabsoluteerror": "mae",
    "l1loss": "mae",
    "huberloss": "huber",
    "logcoshloss": "log_cosh",
    "pinball": "quantile",
    "pinballloss": "quantile",
    "meanpinballloss": "quantile",
    "quantileloss": "quantile",
    "gaussiannllloss": "gaussian_nll",
    "poissonloss": "poisson",
    "poissonnllloss": "poisson",
    "poissonnll": "poisson",
    "gammaloss": "gamma",
    "tweedieloss": "tweedie",
    "cosinesimilarity": "cosine",
    "cosineembeddingloss": "cosine",
    "hingeloss": "hinge",
    "bce": "binary_cross_entropy",
    "bceloss": "binary_cross_entropy",
    "bcewithlogitsloss": "binary_cross_entropy",
    "binarycrossentropy": "binary_cross_entropy",
    "binarylogloss": "binary_cross_entropy",
    "binaryfocalcrossentropy": "binary_focal_cross_entropy",
    "binaryfocal": "binary_focal_cross_entropy",
    "sigmoidfocalloss": "binary_focal_cross_entropy",
    "focal": "focal_cross_entropy",
    "focalloss": "focal_cross_entropy",
    "categoricalfocalcrossentropy": "focal_cross_entropy",
    "logloss": "cross_entropy",
    "crossentropyloss": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy",
    "sparsecategoricalcrossentropy": "cross_entropy",
    "kldivergence": "kl_divergence",
    "kldivloss": "kl_divergence",
    "kld": "kl_divergence",
}
