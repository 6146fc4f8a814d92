"""Other people's programs that judge ours: where one is missing, its tests say so by name."""

import importlib
import os
import warnings
from types import ModuleType

import pytest

REQUIRE_ALL = "CARDQUORUM_REQUIRE_ALL"


def judge(name: str) -> ModuleType:
    """Import a judge, or skip the module; with CARDQUORUM_REQUIRE_ALL=1 a missing one fails."""
    if os.environ.get(REQUIRE_ALL) == "1":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, not ours to mend
            return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)
