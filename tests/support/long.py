"""Forms of a test that take longer and say more of the same; `make slow` runs them."""

import os

import pytest

EVERYTHING = "EVERYTHING" in os.environ
LONG = pytest.mark.skipif(not EVERYTHING, reason="a longer form, for make slow")
