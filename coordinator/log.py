"""Where log lines go: stderr, and only as loud as asked."""

import logging
import sys

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
NOISY = ("alembic", "sqlalchemy", "filelock")


def configure(verbosity: int) -> None:
    """Send log lines to stderr; 0 warnings, 1 information, 2 everything (xpubs and addresses)."""
    level = LEVELS[min(verbosity, len(LEVELS) - 1)]
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
