"""A copy of this program that is put beside a kit."""

import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from coordinator import files
from coordinator.errors import UsageError

NAME: Final = re.compile(
    r"cardquorum-(?P<version>[0-9][A-Za-z0-9.+]{0,30})-[A-Za-z0-9._-]{1,60}\.whl"
)
METADATA_MAX: Final = 1 << 20


class Wheel(NamedTuple):
    """A built distribution of this program."""

    name: str
    version: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Return its SHA-256 in hex."""
        return hashlib.sha256(self.data).hexdigest()


def read(path: Path) -> Wheel:
    """Return the wheel at a path; raises UsageError where it is none of this program."""
    named = NAME.fullmatch(path.name)
    if named is None:
        raise UsageError(f"{path} is no wheel of cardquorum: cardquorum-VERSION-py3-none-any.whl")
    data = files.read_bytes(path)
    version = named["version"]
    if _version_in(data, f"cardquorum-{version}.dist-info/METADATA") != version:
        raise UsageError(f"{path} does not hold cardquorum {version}, as its name says")
    return Wheel(path.name, version, data)


def _version_in(data: bytes, member: str) -> str | None:
    """Return the version that the wheel's own metadata give; None where they are not there."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(member) as opened:
            text = opened.read(METADATA_MAX).decode("utf-8", "replace")
    except (zipfile.BadZipFile, KeyError, OSError, NotImplementedError, RuntimeError, ValueError):
        return None
    head = dict(
        line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line
    )
    return head.get("Version") if head.get("Name") == "cardquorum" else None
