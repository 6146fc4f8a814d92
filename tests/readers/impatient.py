"""Runs the program with a deadline of a second for a card's answer."""

from functools import partial

from coordinator.cli import main
from coordinator.readers import real_readers

real_readers.Patient = partial(real_readers.Patient, seconds=1.0)
main()
