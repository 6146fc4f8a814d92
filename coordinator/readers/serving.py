"""Emulated cards in virtual PC/SC readers, for other programs, until they are told to stop."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cards.errors import CardRemoved
from cards.pcscd import private_pcscd
from cards.vpcd import VirtualReader
from coordinator.home.settings import Home
from coordinator.names import checked_name
from coordinator.readers import emulated


class Served(NamedTuple):
    """Which reader holds which card at which vpcd port, and what a program's environment needs."""

    readers: dict[str, int]
    environment: dict[str, str]


@contextlib.contextmanager
def serving(home: Home, names: Sequence[str]) -> Iterator[Served]:
    """Serve emulated cards of the home, each in a reader of its name; starts what that needs.

    Raises CardError where a card is in use or missing, or where no PC/SC service can run.
    """
    slots = [emulated.slot(home, checked_name(name)) for name in dict.fromkeys(names)]
    for slot in slots:
        with contextlib.suppress(CardRemoved):  # ejected: it may be put in later
            slot.connect().close()
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="cardquorum-")))
        service = running.enter_context(private_pcscd(folder, [slot.name for slot in slots]))
        for slot in slots:
            here = partial(emulated.present, home, slot.name)
            reader = VirtualReader(service.ports[slot.name], slot.connect, here)
            running.callback(reader.close)
        yield Served(service.ports, service.environment)
