"""Cases of a kind: the first in `make test`, those beside it in `make test-all`."""

import pytest
from _pytest.mark import ParameterSet


def further(first: object, *cases: object) -> list[ParameterSet]:
    """Return the cases of a kind; those beside the first are marked `matrix`."""
    return [pytest.param(first), *(pytest.param(each, marks=pytest.mark.matrix) for each in cases)]
