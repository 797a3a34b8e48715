"""What all tests of bad input have: a network with something to lose."""

import pytest
from support.refusal import classifier

import fastbp as fb


@pytest.fixture
def network(dtype: str, backend: str) -> fb.Network:
    return classifier(dtype, backend)
