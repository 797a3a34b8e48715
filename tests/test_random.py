"""Random streams: parity with Philox of NumPy and of its paper, fairness, reproducibility."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.tolerance import assert_rounded

from fastbp import random


@pytest.mark.parametrize(("seed", "purpose", "epoch"), [(0, 1, 0), (7, 2, 5), (2**64 - 1, 1, 9)])
def test_raw_is_philox(seed, purpose, epoch):
    expected = np.random.Philox(key=seed + (purpose * 2**32 + epoch) * 2**64).random_raw(9)
    words = random.raw(seed, purpose, epoch, 9)
    assert words.dtype == np.uint64 and np.array_equal(words, expected)
    assert np.array_equal(random.raw(seed, purpose, epoch, 5), words[:5])
    assert np.array_equal(random.uniform(seed, purpose, epoch, 9), [
        (int(word) >> 11) / 2**53 for word in words])  # fmt: skip


MULTIPLIERS = {32: (0xD2511F53, 0xCD9E8D57), 64: (0xD2E7470EE14C6C93, 0xCA5A826395121157)}
WEYL = {32: (0x9E3779B9, 0xBB67AE85), 64: (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)}


def philox(key, counter, bits=64):
    """Philox 4x64-10 or 4x32-10 written from its paper, in Python's integers."""
    x, (k0, k1), full = list(counter), key, 2**bits
    for _ in range(10):
        a, b = MULTIPLIERS[bits][0] * x[0], MULTIPLIERS[bits][1] * x[2]
        x = [(b >> bits) ^ x[1] ^ k0, b % full, (a >> bits) ^ x[3] ^ k1, a % full]
        k0, k1 = (k0 + WEYL[bits][0]) % full, (k1 + WEYL[bits][1]) % full
    return x


@pytest.mark.parametrize("seed", [12345, 2**64 - 1])
def test_raw_is_the_algorithm_of_the_paper(seed):
    key = (seed, random.SHUFFLE * 2**32 + 6)
    expected = [word for counter in (1, 2, 3) for word in philox(key, (counter, 0, 0, 0))]
    assert random.raw(seed, random.SHUFFLE, 6, 12).tolist() == expected


def test_known_answers():
    """Of the reference implementation, Random123."""
    assert philox((0, 0), (0,) * 4, 32) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox((2**32 - 1,) * 2, (2**32 - 1,) * 4, 32) == [
        0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD
    ]  # fmt: skip


def expected_words(seed, epoch, n):
    """By groups of 32 counters: their first words, their second ones, and so on."""
    key, words = (seed % 2**32, seed >> 32), []
    for group in range(-(-n // 128)):
        rows = [philox(key, (32 * group + i, epoch, random.SHUFFLE, 0), 32) for i in range(32)]
        words += [row[k] for k in range(4) for row in rows]
    return words[:n]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 127, 128, 129, 1000])
@pytest.mark.parametrize("seed", [11, 2**64 - 3])
def test_permutation_follows_its_definition(n, seed):
    words = expected_words(seed, 4, max(n - 1, 0))
    assert random.shuffle_words(seed, 4, len(words)).tolist() == words
    expected = list(range(n))
    for i in range(n - 1, 0, -1):
        j = (words[n - 1 - i] * (i + 1)) >> 32
        expected[i], expected[j] = expected[j], expected[i]
    order = random.permutation(n, seed=seed, epoch=4)
    assert order.dtype == np.uint32 and order.tolist() == expected
    assert sorted(expected) == list(range(n))


@pytest.mark.slow
def test_permutations_are_fair():
    counts = np.zeros((4, 4))
    for epoch in range(4000):
        counts[np.arange(4), random.permutation(4, seed=1, epoch=epoch)] += 1
    assert np.abs(counts - 1000).max() < 6 * math.sqrt(1000 * 0.75)


def test_epochs_and_purposes_are_different_streams():
    orders = {tuple(random.permutation(20, seed=1, epoch=epoch)) for epoch in range(20)}
    assert len(orders) == 20
    assert random.raw(1, 1, 0, 1) != random.raw(1, 2, 0, 1)
    with pytest.raises(ValueError, match=r"epoch of a random stream must be in 0\.\.2\*\*32-1"):
        random.raw(1, 1, 2**32, 1)


def test_normal_is_box_muller_within_rounding():
    u = random.uniform(5, 2, 0, 10_000)
    z = random.normal(5, 2, 0, 10_000)
    radius = np.sqrt(-2 * np.log1p(-u[0::2]))
    for values, wave in ((z[0::2], np.cos), (z[1::2], np.sin)):
        expected = radius * wave(2 * np.pi * u[1::2])
        size = np.maximum(radius, 1e-3)
        assert_rounded(values, expected, dtype="float64", roundings=8, magnitude=size)
    assert np.array_equal(random.normal(5, 2, 0, 7), z[:7]) and random.normal(5, 2, 0, 0).size == 0


def test_logarithm_and_circle_at_their_edges():
    x = np.array([1.0, 2.0**-53, 0.5, 0.7071067811865475, 0.7071067811865476, 1 - 2.0**-53])
    expected = [math.log(value) for value in x]
    assert_rounded(random._log(x), expected, dtype="float64", roundings=1.5)
    cosine, sine = random._cos_sin(np.arange(0, 1, 0.125))
    half = math.sqrt(0.5)
    circle = [1, half, 0, -half, -1, -half, 0, half]
    for values, expected in ((cosine, circle), (sine, np.roll(circle, 2))):
        assert_rounded(values, expected, dtype="float64", roundings=8, magnitude=np.ones(8))


def test_drawn_seeds():
    seeds = {random.draw_seed() for _ in range(50)}
    assert len(seeds) == 50 and all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**60
