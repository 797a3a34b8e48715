"""Which compiled kernels there are here, and the mark of tests that need some."""

import pytest

from fastbp.backend import compiled_modules

needs_kernels = pytest.mark.skipif(not compiled_modules(), reason="no compiled kernels here")
