"""Options and settings for all tests.

The tests marked slow take minutes each and are run by hand: ``python -m pytest -q --slow``. The
longest of them trains for 30 minutes, or for as many as the variable MINIRNN_SOAK says.
"""

import os

import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")
# Kernels compile at the first example, so that no deadline makes sense. Derandomised: a run that
# passed passes again.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))


@pytest.fixture
def data():
    """The folder with the real data sets, where there is one."""
    folder = os.environ.get("MINIRNN_DATA")
    if not folder:
        pytest.skip("real data: set MINIRNN_DATA to a folder that has it")
    return folder
