"""What a notebook shows of networks, plans and examples, and the picture of a network."""

import pytest
from support.page import parsed
from support.random_network import random_case
from support.refusal import bad_input, refuses
from support.training_case import CASES

import fastbp as fb


def test_network():
    net = fb.Network(
        [fb.Input(64), fb.Dense(128, "relu"), fb.Residual([fb.Dense(128)]), fb.Dense(10)],
        loss="cross_entropy", metrics=["accuracy"], seed=3,
    )  # fmt: skip
    page = parsed(net._repr_html_())
    assert page.words[:2] == ["Network", "of 26,122 parameters"]
    assert page.cells[:6] == [
        ["layer", "output", "activation", "kernel", "parameters"],
        ["input", "64", "", "", ""],
        ["dense_1", "128", "relu", "64 x 128", "8,320"],
        ["residual", "", "linear", "", ""],
        ["  dense_2", "128", "linear", "128 x 128", "16,512"],
        ["dense_3", "10", "linear", "128 x 10", "1,290"],
    ]
    about = dict(page.cells[6:])
    assert about["loss"] == "cross_entropy" and about["metrics"] == "accuracy"
    assert about["optimizer"].startswith("Adam(learning_rate=0.001")
    assert about["trained"] == "0 epochs, 0 steps" and about["seed"] == "3"


def test_names_are_escaped():
    def metric(y, prediction):
        return 0.0

    metric.__name__ = "<b>"
    layers = [fb.Input(2), fb.Dense(1, name="<script>a & b")]
    net = fb.Network(layers, metrics=[metric], seed=0)
    page = parsed(net._repr_html_())
    plan = parsed(net.plan(3)._repr_html_())
    assert "<script>a & b" in page.words and "<b>" in page.words
    assert ["<script>a & b", "2 x 1"] in [row[:2] for row in plan.cells]


@pytest.mark.parametrize("name", CASES)
def test_plan(name):
    plan = CASES[name].network("float32").plan(32)
    page = parsed(plan._repr_html_())
    assert page.words[0] == "Plan" and page.count("table") == 3
    text = repr(plan)
    for layer in plan.layers:
        assert any(row[0] == layer.name and row[3] == f"{layer.n_bytes:,}" for row in page.cells)
    assert all(line in text for line in page.words[-1].splitlines())


@pytest.mark.parametrize("name", fb.examples.names())
def test_example(name):
    example = fb.examples.load(name)
    page = parsed(example._repr_html_())
    rows = example.run()
    body = page.cells[1 : 1 + len(rows)]
    assert [row[1] for row in body] == [row.quantity for row in rows]
    assert page.words[0] == name and example.teaches in page.words
    assert {row.cause for row in rows if row.cause} <= set(page.words)


def test_picture(tmp_path):
    net = fb.Network([3, 20, 2], activation="tanh", loss="cross_entropy", seed=0)
    picture = net.plot()
    page = parsed(picture._repr_html_())
    assert page.words[1:] == ["3", "input", "20", "tanh", "2"]
    assert page.count("circle") == 3 + (6 + 3) + 2 and page.count("line") == 3 * 6 + 6 * 2
    picture.save(tmp_path / "net.svg")
    text = (tmp_path / "net.svg").read_text(encoding="utf-8")
    assert parsed(text).words == page.words and text.startswith("<svg xmlns=")
    assert repr(picture).endswith('.save("picture.svg") writes it')


def test_ways_around_and_side_by_side():
    inner = fb.Branch([[fb.Dense(4, "relu")], [], [fb.Dense(2), fb.Dense(3)]])
    net = fb.Network([fb.Input(3), fb.Residual([inner], projection="auto"), fb.Dense(1)], seed=0)
    page = parsed(net.plot()._repr_html_())
    assert page.words[1:] == ["3", "input", "projection", "4", "relu", "2", "3", "+", "1"]


@pytest.mark.parametrize("seed", range(12))
def test_any_network_has_a_picture_and_a_table(seed):
    case = random_case(seed)
    net = fb.Network(case.layers, loss=case.loss, seed=0)
    picture, table = parsed(net.plot()._repr_html_()), parsed(net._repr_html_())
    assert net.plot().width > 0 and picture.count("svg") == table.count("table") - 1 == 1


@bad_input("picture file")
def test_other_kinds_of_files_are_refused(tmp_path):
    picture = fb.Network([2, 1], seed=0).plot()
    with refuses(ValueError, "path must end in .svg, got 'net.png'"):
        picture.save("net.png")
    with pytest.raises(OSError):
        picture.save(tmp_path / "missing" / "net.svg")
