"""The virtual readers of the reader tests."""

from tests.readers.conftest import ceremony, home, put, put_card, service

__all__ = ["ceremony", "home", "put", "put_card", "service"]
