"""The virtual readers of the reader tests."""

from tests.readers.conftest import put, service

__all__ = ["put", "service"]
