"""Where log lines go: stderr, and only as loud as asked."""

import logging
import sys

from coordinator.shown_text import visible, visible_lines

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
NOISY = ("alembic", "sqlalchemy", "filelock")


class VisibleFormatter(logging.Formatter):
    """One line for each record, whatever others' words it repeats."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        """Return the line."""
        record.message = visible(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 -- logging's name
        self, ei: "logging._SysExcInfoType"
    ) -> str:
        """Return the lines of a traceback."""
        return visible_lines(super().formatException(ei))


def configure(verbosity: int) -> None:
    """Send log lines to stderr; 0 warnings, 1 information, 2 everything (xpubs and addresses)."""
    level = LEVELS[min(verbosity, len(LEVELS) - 1)]
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(VisibleFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[out])
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
