"""This home's own operator: what its owner is called, and the key that signs for them."""

import platform
import re
from datetime import datetime
from functools import cached_property
from typing import Final

from coordinator import clock
from coordinator.home import approvals
from coordinator.home.settings import Home
from coordinator.names import LENGTH_MAX

NOT_IN_NAMES: Final = re.compile("[^A-Za-z0-9_-]+")


class HomeAuthor:
    """Signs what the home's sessions add (`storage.authors.Author`)."""

    def __init__(self, home: Home) -> None:
        """Keep the home; its key is read, or made, when something is signed."""
        self._home = home
        self.name = own_name(home)

    @cached_property
    def public_key(self) -> bytes:
        """Return the 32 bytes of the home's public key."""
        return approvals.have_key(self._home)

    def now(self) -> datetime:
        """Return this computer's time."""
        return clock.now()

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature."""
        return approvals.sign(self._home, message)


def own_name(home: Home) -> str:
    """Return what this home's operator is called: by the settings, else as the computer is."""
    if home.operator is not None:
        return home.operator
    return NOT_IN_NAMES.sub("-", platform.node()).strip("-")[:LENGTH_MAX] or "operator"
