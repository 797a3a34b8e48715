"""Axes: every value lies on them, and their labels are round and few."""

import pytest

from fastbp.picture.scale import Scale


@pytest.mark.parametrize(
    ("values", "is_log", "labels"),
    [
        ([0, 1], False, ["0.0", "0.5", "1.0"]),
        ([0, 39], False, ["0", "10", "20", "30", "40"]),
        ([0.0852, 0.0866], False, ["0.0855", "0.0860", "0.0865"]),
        ([-1e-3, 1e-3], False, ["-0.0010", "-0.0005", "0.0000", "0.0005", "0.0010"]),
        ([1e-3, 10], True, ["0.001", "0.01", "0.1", "1", "10"]),
        ([0.02, 2], True, ["0.03", "0.1", "0.3", "1"]),
        ([1e-12, 1], True, ["1e-12", "1e-09", "1e-06", "0.001", "1"]),
        ([0, 3e7], False, ["0", "1e+07", "2e+07", "3e+07"]),
    ],
)
def test_labels(values, is_log, labels):
    scale = Scale.of(values, is_log=is_log)
    ticks = scale.ticks()
    assert [label for _, label in ticks] == labels
    assert all(0 <= round(scale.place(value), 6) <= 1 for value, _ in ticks)
    assert all(0 <= scale.place(value) <= 1 for value in values)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-8, 1e12])
@pytest.mark.parametrize("is_log", [False, True])
def test_a_single_number_lies_in_the_middle(value, is_log):
    if is_log and value <= 0:
        value = 7.0
    scale = Scale.of([value], is_log=is_log)
    assert round(scale.place(value), 6) == 0.5 and scale.ticks()


def test_epochs_are_whole():
    assert [label for _, label in Scale.of([0, 1]).ticks(is_whole=True)] == ["0", "1"]
