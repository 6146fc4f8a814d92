"""A PC/SC service of our own with virtual readers, beside the system's and out of its way.

It runs in its own mount namespace, on a folder of its own: that is where its socket lies.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cards.errors import CardError, OutOfReach

DAEMON: Final = Path("/usr/sbin/pcscd")
DRIVERS: Final = Path("/usr/lib/pcsc/drivers")
VIRTUAL_DRIVER: Final = DRIVERS / "serial" / "libifdvpcd.so"
NEEDED: Final = (DAEMON, VIRTUAL_DRIVER, Path("/usr/bin/unshare"), Path("/usr/bin/setpriv"))
INSTALL: Final = "on Debian and Ubuntu: apt install pcscd vsmartcard-vpcd"
SOCKET_VARIABLE: Final = "PCSCLITE_CSOCK_NAME"
READERS_MAX: Final = 8
PORT_STEP: Final = 2
LEFT_OUT: Final = b"init failed"
START_SECONDS: Final = 5.0
TRIES: Final = 5
LIVES_WITH_US: Final = (
    'mount --bind "$1/run" /run && mount --bind "$1/drv" /usr/lib/pcsc/drivers '
    '&& exec setpriv --pdeathsig TERM /usr/sbin/pcscd --foreground --config "$1/conf"'
)


class Service(NamedTuple):
    """A running PC/SC service: where programs reach it, and the vpcd port of each reader."""

    socket: Path
    ports: dict[str, int]

    @property
    def environment(self) -> dict[str, str]:
        """Return what a program needs in its environment to use it."""
        return {SOCKET_VARIABLE: str(self.socket)}


def missing() -> str | None:
    """Return why no such service can run here, in a sentence; None where it can."""
    absent = [str(path) for path in NEEDED if not path.exists()]
    if not absent:
        return None
    return f"virtual readers need {', '.join(absent)}, which this machine has not"


@contextlib.contextmanager
def private_pcscd(folder: Path, readers: Sequence[str]) -> Iterator[Service]:
    """Run a PC/SC service with these readers, each named `NAME 00 00` by PC/SC, in a folder.

    The folder's path must stay the same for a process that used it once: libpcsclite remembers
    it. Raises CardError where it cannot run.
    """
    reason = missing()
    if reason is not None:
        raise OutOfReach(reason, INSTALL)
    if not 0 < len(readers) <= READERS_MAX:
        raise CardError(f"{READERS_MAX} virtual readers are the most, not {len(readers)}")
    for _ in range(TRIES):
        ports = _free_ports(readers)
        with _running(folder, ports) as socket:
            if socket is not None:
                yield Service(socket, ports)
                return
    raise CardError(f"pcscd did not start with {len(readers)} virtual readers in {folder}")


@contextlib.contextmanager
def _running(folder: Path, ports: dict[str, int]) -> Iterator[Path | None]:
    """Start pcscd; yields its socket, or None where a reader did not come up."""
    _prepare(folder, ports)
    become_root = [] if os.geteuid() == 0 else ["-r"]
    with (folder / "pcscd.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 -- fixed programs, our own folder
            ["/usr/bin/unshare", "-m", *become_root, "/bin/sh", "-c", LIVES_WITH_US, "sh", folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        socket = folder / "run" / "pcscd" / "pcscd.comm"
        yield socket if _is_up(process, socket, ports) else None
    finally:
        process.terminate()
        process.wait()


def _prepare(folder: Path, ports: dict[str, int]) -> None:
    """Write the configuration; every reader gets its own copy of the driver."""
    for name in ("run", "drv"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    entries = []
    for number, (name, port) in enumerate(ports.items()):
        driver = folder / "drv" / f"libifdvpcd{number}.so"
        shutil.copy(VIRTUAL_DRIVER, driver)
        entries.append(
            f'FRIENDLYNAME "{name}"\nDEVICENAME /dev/null:0x{port:X}\n'
            f"LIBPATH {DRIVERS / driver.name}\nCHANNELID 0x{port:X}\n"
        )
    (folder / "conf").write_text("\n".join(entries))


def _is_up(process: "subprocess.Popen[bytes]", socket: Path, ports: dict[str, int]) -> bool:
    """Wait until the service answers and every reader listens at its two ports."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if socket.exists() and all(_listens(port) for port in ports.values()):
            # The port may be somebody else's: then the service says so, and goes on without.
            return LEFT_OUT not in (socket.parents[2] / "pcscd.log").read_bytes()
        time.sleep(0.01)
    return False


def _listens(port: int) -> bool:
    """Tell whether somebody listens at a port, without connecting: that would insert a card."""
    wanted = f":{port:04X} "
    tables = [Path("/proc/net") / name for name in ("tcp", "tcp6")]
    return any(
        wanted in f"{line.split()[1]} " and line.split()[3] == "0A"
        for table in tables
        if table.exists()
        for line in table.read_text().splitlines()[1:]
    )


def _free_ports(readers: Sequence[str]) -> dict[str, int]:
    """Choose ports at random at which nobody listens: a reader at a taken one is left out."""
    while True:
        first = 20_000 + PORT_STEP * secrets.randbelow(5_000)
        ports = {name: first + PORT_STEP * number for number, name in enumerate(readers)}
        if not any(_listens(port + beside) for port in ports.values() for beside in (0, 1)):
            return ports
