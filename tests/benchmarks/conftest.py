"""The virtual readers of the reader tests."""

from tests.readers.conftest import ceremony, home, put, put_card, service, with_payment

__all__ = ["ceremony", "home", "put", "put_card", "service", "with_payment"]
