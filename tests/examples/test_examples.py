"""The five worked examples: the page, the engine, a replay of the hand and a derivation."""

import json
import math
from importlib import resources

import numpy as np
import pytest
from support.hand_replay import REPLAY
from support.hand_rounding import CARRIED, CUT, unit
from support.tolerance import DECIMAL, REPLAY_ROUNDING, assert_rounded
from support.worked_derivation import DERIVATION

import fastbp as fb
from fastbp.examples import table

BACKENDS = ["cython", "numpy"]
PAGES = json.loads(resources.files(fb.examples).joinpath("worked_examples.json").read_text())
NAMES = [name for name in PAGES if name != "about"]
ROWS = [
    pytest.param(name, index, id=f"{name}-{row['step']}-{row['quantity']}".replace(" ", "_"))
    for name in NAMES
    for index, row in enumerate(PAGES[name]["hand"])
]


@pytest.fixture(scope="module")
def runs():
    """Every example's rows, by backend and name."""
    return {
        backend: {name: fb.examples.load(name, backend=backend).run() for name in NAMES}
        for backend in BACKENDS
    }


@pytest.fixture(scope="module")
def replays():
    """What the hand's own arithmetic gives, by name, then by (step, quantity)."""
    return {name: REPLAY[name](_printed(name)) for name in NAMES}


def _printed(name):
    return {(row["step"], row["quantity"]): row["printed"] for row in PAGES[name]["hand"]}


def _own(name, key, printed):
    """Units by which a number may differ from what it was computed to be, before rounding."""
    if printed == 0.0:
        return 0.0  # a printed 0 is a unit that is off, or a difference that vanishes
    return 1.0 if key in CUT[name] else 0.5


def test_every_number_of_the_page_is_there(runs):
    assert list(fb.examples.names()) == NAMES
    for backend in BACKENDS:
        assert sum(len(rows) for rows in runs[backend].values()) == 274
        for name in NAMES:
            given = [(r["step"], r["quantity"], r["printed"]) for r in PAGES[name]["hand"]]
            assert [(r.step, r.quantity, r.hand) for r in runs[backend][name]] == given
            assert all(math.isfinite(r.fastbp) for r in runs[backend][name])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "index"), ROWS)
def test_engine_against_printed_number(runs, backend, name, index):
    row = runs[backend][name][index]
    key = row.step, row.quantity
    own = _own(name, key, row.hand)
    distance = abs(row.fastbp - row.hand) / unit(row.hand)
    if row.verdict == "agrees":
        carried = CARRIED[name][key].units if key in CARRIED[name] else 0.0
        assert distance <= own + carried + DECIMAL, row
    elif row.verdict == "slip":
        assert distance > own, row
    else:
        assert row.verdict == "after"


@pytest.mark.parametrize(("name", "index"), ROWS)
def test_replay_of_the_hand_gives_printed_number(runs, replays, name, index):
    given = PAGES[name]["hand"][index]
    key, printed = (given["step"], given["quantity"]), given["printed"]
    explained = given.get("explained")
    if key not in replays[name]:
        assert given["verdict"] == "agrees" and key not in CARRIED[name] and key not in CUT[name]
        return
    excess = (abs(replays[name][key]) - abs(printed)) / unit(printed)
    if explained is False:
        assert abs(replays[name][key] - printed) > unit(printed) / 2
        assert abs(runs["numpy"][name][index].fastbp - printed) > unit(printed) / 2
    elif key in CUT[name]:
        assert math.copysign(1.0, replays[name][key]) == math.copysign(1.0, printed)
        assert 0.5 - DECIMAL <= excess <= 1.0 + DECIMAL  # below half a unit it would not be a cut
    else:
        limit = _own(name, key, printed) * unit(printed)
        assert abs(replays[name][key] - printed) <= limit + REPLAY_ROUNDING


@pytest.mark.parametrize("name", NAMES)
def test_carried_rounding_is_no_wider_than_the_replay_needs(runs, replays, name):
    engine = {(row.step, row.quantity): row.fastbp for row in runs["numpy"][name]}
    printed = _printed(name)
    assert CUT[name] | CARRIED[name].keys() <= replays[name].keys()
    for key, carried in CARRIED[name].items():
        needed = abs(replays[name][key] - engine[key]) / unit(printed[key])
        assert needed - DECIMAL <= carried.units <= needed + 0.1 + DECIMAL, (key, needed, carried)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_parameters_against_derivation(name, backend):
    example = fb.examples.load(name, backend=backend)
    steps = DERIVATION[name](PAGES[name])
    assert len(steps) == len(example.batches) == PAGES[name]["steps"]
    count = sum(array.size for array in example.network.get_weights())
    for batch, expected in zip(example.batches, steps, strict=True):
        example.network.train_on_batch(example.X[batch], example.y[batch])
        actual = example.parameters()
        assert actual.keys() == expected.keys() and len(actual) == count
        for parameter, value in expected.items():
            size = max(abs(value), 1.0)
            assert_rounded(
                actual[parameter],
                value,
                dtype="float64",
                roundings=2**12,
                magnitude=size,
                name=parameter,
            )


@pytest.mark.parametrize(("name", "index"), ROWS)
def test_backends_agree(runs, name, index):
    cython, numpy = runs["cython"][name][index].fastbp, runs["numpy"][name][index].fastbp
    # a value that vanishes by cancellation ("h2 (1) before relu") has no relative accuracy
    vanishes = runs["numpy"][name][index].quantity.endswith("before relu")
    size = max(abs(numpy), 2.0**-10 if vanishes else 0.0)
    assert_rounded(cython, numpy, dtype="float64", roundings=2**12, magnitude=size)


@pytest.mark.parametrize("name", NAMES)
def test_load_gives_the_stated_start(name):
    example, page = fb.examples.load(name, backend="numpy"), PAGES[name]
    stated = [np.ravel(value) for value in page["parameters"].values()]
    assert sorted(example.parameters().values()) == sorted(np.concatenate(stated))
    assert example.X.dtype == example.y.dtype == np.float64
    np.testing.assert_array_equal(example.X, page["inputs"])
    np.testing.assert_array_equal(example.y, page["targets"])
    assert (example.title, example.teaches) == (page["title"], page["teaches"])
    assert example.network.backend == "numpy"


def test_run_repeats_and_leaves_the_network_at_its_start():
    example = fb.examples.load("adam_l2", backend="numpy")
    start = example.parameters()
    assert example.run() == example.run()
    assert example.parameters() == start
    assert fb.examples.load("logistic").batches == [[0, 1], [2, 3], [0, 3], [1, 2]]


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"unknown example 'nought'; expected one of linear_sig"):
        fb.examples.load("nought")


@pytest.mark.parametrize("name", NAMES)
def test_table_shows_every_row_and_each_cause_once(name):
    example = fb.examples.load(name, backend="numpy")
    text = table.render(example)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    start = next(i for i, line in enumerate(lines) if line.startswith("step"))
    body = lines[start + 1 : lines.index("", start)]
    rows, printed = example.run(), [line for line in body if line[0] != " "]
    for line, row in zip(printed, rows, strict=True):
        cells = line.split()
        assert cells[0] == str(row.step) and row.quantity in line and row.verdict in cells
        assert f"{row.fastbp + 0.0:.6g}" in cells and f"{row.hand:.12g}" in cells
    causes = list(dict.fromkeys(row.cause for row in rows if row.cause))
    notes = " ".join(line.strip() for line in body if line[0] == " ")
    assert notes == " ".join(f"[{number}] {cause}" for number, cause in enumerate(causes, 1))
    for number, cause in enumerate(causes, 1):  # in full under the first row it explains
        first = next(row for row in rows if row.cause == cause)
        above = next(i for i, line in enumerate(body) if line.strip().startswith(f"[{number}] "))
        assert first.quantity in body[above - 1] and body[above - 1].endswith(f"[{number}]")
