"""One thread for NumPy's products too, decided before NumPy is loaded."""

import os
import sys

import pytest

THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

if "numpy" in sys.modules and any(os.environ.get(name) != "1" for name in THREADS):
    pytest.exit(f"NumPy is loaded already: set {' '.join(THREADS)} to 1 and run again", 3)
os.environ |= THREADS
