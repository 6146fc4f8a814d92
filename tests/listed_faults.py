"""Faults that wait in memory; the program's own wait in a file."""

from cards.faults import Fault, Faults, met


class Listed:
    def __init__(self, *faults: Fault) -> None:
        self.faults: Faults = faults

    def meet(self, apdu: bytes) -> Faults:
        active, self.faults = met(self.faults, apdu)
        return active
