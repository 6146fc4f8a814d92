"""Runs the program with a deadline of a second for a card's answer."""

from functools import partial

from coordinator.cli import main
from coordinator.readers import real_readers

real_readers.DeadlineTransport = partial(real_readers.DeadlineTransport, seconds=1.0)
main()
