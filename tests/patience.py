"""How long a test waits for what must happen: a machine with other work is only slow."""

from typing import Final

SECONDS: Final = 60.0
