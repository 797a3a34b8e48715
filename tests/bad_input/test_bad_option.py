"""Options that are refused: which exception, what it says, and that nothing has changed."""

import numpy as np
import pytest
from support.refusal import INF, NAN, Bad, P, bad_input, data, refused

INTEGER = "must be an integer >= 1, got"
OPTIONS = [
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, batch_size=0),
        ValueError,
        f"^batch_size {INTEGER} 0$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, batch_size=-3),
        ValueError,
        f"^batch_size {INTEGER} -3$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, batch_size=2.0),
        TypeError,
        f"^batch_size {INTEGER} 2.0$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, check_finite="no"),
        TypeError,
        "^check_finite must be True or False, got 'no'$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.predict(X, check_finite=None),
        TypeError,
        "^check_finite must be True or False, got None$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, batch_size=True),
        TypeError,
        f"^batch_size {INTEGER} True$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.train_steps(X, y, steps=1, batch_size=0),
        ValueError,
        "^batch_size must",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.predict(X, batch_size=0),
        ValueError,
        "^batch_size must",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.train_steps(X, y, steps=0),
        ValueError,
        f"^steps {INTEGER} 0$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.train_steps(X, y, steps=1.5),
        TypeError,
        f"^steps {INTEGER} 1.5$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, n_threads=np.array([1, 2])),
        TypeError,
        r'^n_threads must be "auto", -1 or an integer >= 1, got array\(\[1, 2\]\)$',
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, verbose=np.array([1, 2])),
        ValueError,
        r"^verbose must be True, False, 0, 1, 2 or 'auto', got array\(\[1, 2\]\)$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.from_config(None),
        TypeError,
        "^config must be what get_config returned, got None$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.from_config({}),
        ValueError,
        "^config lacks 'layers'$",
    ),
    Bad(
        "epochs",
        lambda net, X, y: net.fit(X, y, epochs=-1),
        ValueError,
        "^epochs must be an integer >= 0, got -1$",
    ),
    Bad(
        "epochs",
        lambda net, X, y: net.fit(X, y, epochs=1.0),
        TypeError,
        "^epochs must be an integer >= 0, got 1.0$",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, shuffle="no"),
        TypeError,
        "^shuffle must be True or False",
    ),
    Bad(
        "number or switch",
        lambda net, X, y: net.fit(X, y, verbose="loud"),
        ValueError,
        "^verbose must be",
    ),
    Bad(
        "unknown keyword",
        lambda net, X, y: net.fit(X, y, lr=3),
        TypeError,
        "unexpected keyword argument 'lr'",
    ),
    Bad("unknown keyword", lambda net, X, y: net.fit(X, y, 3), TypeError, "positional argument"),
    Bad(
        "threads",
        lambda net, X, y: net.fit(X, y, n_threads=0),
        ValueError,
        "^n_threads must be .*got 0$",
    ),
    Bad(
        "threads",
        lambda net, X, y: net.fit(X, y, n_threads=-2),
        ValueError,
        "^n_threads must be .*got -2$",
    ),
    Bad(
        "threads",
        lambda net, X, y: net.fit(X, y, n_threads=1.5),
        TypeError,
        "^n_threads must be .*got 1.5$",
    ),
    Bad(
        "threads",
        lambda net, X, y: net.predict(X, n_threads="all"),
        TypeError,
        "^n_threads must be .*got 'all'$",
    ),
    Bad(
        "threads",
        lambda net, X, y: net.train_steps(X, y, steps=1, n_threads=0),
        ValueError,
        "^n_threads must be",
    ),
    Bad(
        "threads",
        lambda net, X, y: net.evaluate(X, y, n_threads=0),
        ValueError,
        "^n_threads must be",
    ),
    Bad(
        "explicit batches",
        lambda net, X, y: net.fit(X, y, batches=[]),
        ValueError,
        "^batches must hold at least one batch",
    ),
    Bad(
        "explicit batches",
        lambda net, X, y: net.fit(X, y, batches=[[0], []]),
        ValueError,
        r"^batches\[1\] is empty$",
    ),
    Bad(
        "explicit batches",
        lambda net, X, y: net.fit(X, y, batches=[[0, 6]]),
        ValueError,
        r"^batches\[0\]\[1\] = 6 is outside 0\.\.5$",
    ),
    Bad(
        "explicit batches",
        lambda net, X, y: net.fit(X, y, batches=[[-1]]),
        ValueError,
        r"^batches\[0\]\[0\] = -1 is outside 0\.\.5$",
    ),
    Bad(
        "explicit batches",
        lambda net, X, y: net.fit(X, y, batches=[[0.5]]),
        ValueError,
        r"^batches\[0\]\[0\] = 0.5 is not a row",
    ),
    Bad(
        "explicit batches",
        lambda net, X, y: net.fit(X, y, batches=[0, 1]),
        TypeError,
        r"^batches\[0\] must be a 1-D sequence",
    ),
    Bad(
        "width of X",
        lambda net, X, y: net.fit(X, y, validation_data=(X[:, :2], y)),
        ValueError,
        "^validation_data: X has 2 features, but Network is expecting 4",
    ),
    Bad(
        "class outside",
        lambda net, X, y: net.fit(X, y, validation_data=(X, y + 1)),
        ValueError,
        r"^validation_data: y\[2\] = 3 is outside",
    ),
    Bad(
        "rows of y",
        lambda net, X, y: net.fit(X, y, validation_data=X),
        TypeError,
        r"^validation_data must be a pair",
    ),
    Bad(
        "weights",
        lambda net, X, y: net.set_weights([w.T for w in net.get_weights()]),
        ValueError,
        r"^dense_1/kernel is \(4, 6\), got \(6, 4\): transposed\? pass its \.T$",
    ),
    Bad(
        "weights",
        lambda net, X, y: net.set_weights(net.get_weights()[:3]),
        ValueError,
        "^weights must be 4 arrays",
    ),
    Bad(
        "weights",
        lambda net, X, y: net.set_weights([*net.get_weights()[:3], [0, NAN, 0]]),
        ValueError,
        r"^Input dense_2/bias contains NaN \(first at \[1\]\)$",
    ),
    Bad(
        "weights",
        lambda net, X, y: net.set_weights([*net.get_weights()[:3], [0, 0, INF]]),
        ValueError,
        r"^Input dense_2/bias contains infinity \(first at \[2\]\)$",
    ),
    Bad(
        "weights",
        lambda net, X, y: net.set_weights(3),
        TypeError,
        "^weights must be a list of arrays, got 3$",
    ),
    Bad(
        "out",
        lambda net, X, y: net.predict(X, out=np.zeros((6, 2), net.dtype)),
        ValueError,
        r"^out must have shape \(6, 3\), got \(6, 2\)$",
    ),
    Bad(
        "out",
        lambda net, X, y: net.predict(X, out=np.zeros((6, 3), "i4")),
        ValueError,
        "^out must have dtype",
    ),
    Bad(
        "out",
        lambda net, X, y: net.predict(X, out=np.zeros((3, 6), net.dtype).T),
        ValueError,
        "^out must be C-cont",
    ),
    Bad(
        "out",
        lambda net, X, y: net.predict(X, out=np.broadcast_to(net.dtype.type(0), (6, 3))),
        ValueError,
        "^out must be writ",
    ),
    Bad(
        "out",
        lambda net, X, y: net.predict(X, out=[[0.0] * 3] * 6),
        TypeError,
        "^out must be a numpy.ndarray",
    ),
    Bad(
        "call out of order",
        lambda net, X, y: net.backward(P),
        RuntimeError,
        "^backward needs a forward before it$",
    ),
    Bad(
        "call out of order",
        lambda net, X, y: net.step(),
        RuntimeError,
        "^step needs a backward before it$",
    ),
    Bad(
        "call out of order",
        lambda net, X, y: net.gradients,
        RuntimeError,
        "^gradients need a backward or trace before them$",
    ),
]


@pytest.mark.parametrize("bad", OPTIONS, ids=lambda bad: bad.row)
def test_options(bad, network):
    X, y = data()
    kept = X.tobytes(), y.tobytes()
    refused(network, lambda: bad.call(network, X, y), bad.error, bad.text)
    assert kept == (X.tobytes(), y.tobytes())


@bad_input("gradient passed to backward")
def test_backward(network):
    X, _ = data()
    network.forward(X)
    refused(
        network,
        lambda: network.backward(P[:5]),
        ValueError,
        "^dL_dout has 5 rows, the last forward had 6$",
    )
    refused(
        network,
        lambda: network.backward(P[:, :2]),
        ValueError,
        "^dL_dout has 2 columns, network has 3 outputs$",
    )
    refused(network, lambda: network.backward(P * NAN), ValueError, "^Input dL_dout contains NaN")
    network.backward(P)
