"""Runs the program with a deadline of a second for a card's answer."""

from functools import partial

from coordinator import readers
from coordinator.cli import main

readers.Patient = partial(readers.Patient, seconds=1.0)
main()
