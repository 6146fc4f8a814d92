"""ElectrumX, a real Electrum server, in a process of its own on top of the daemon."""

import hashlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psbt.transaction import double_sha256, parse_transaction
from tests.patience import SECONDS
from tests.servers.daemon import Daemon
from tests.servers.ports import free_port

POLL_MILLISECONDS = 50
NAP_SECONDS = 0.02
CLIENT, PROTOCOL = "cardquorum-tests", "1.4"

Ask = Callable[..., Any]


INSTALLED = importlib.util.find_spec("electrumx") is not None
# The server holds each small answer back for a second, to hide what is asked: not from a test.
LAUNCH = """
from electrumx.cli.electrumx_server import main
from electrumx.server.transport import PaddedRSTransport
PaddedRSTransport.WAIT_FOR_BUFFER_GROWTH_SECONDS = 0
main()
"""


@dataclass
class ElectrumServer:
    """A running server, and what it was last seen to have in its mempool."""

    daemon: Daemon
    port: int
    log: Path
    _known: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"electrum+tcp://127.0.0.1:{self.port}"

    @property
    def client_url(self) -> str:
        """Write the address as Electrum's client libraries do."""
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run the server on the same port each time, and wait until it is current."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_tied_to_this_process(), sys.executable, "-c", LAUNCH],
                env=_environment(self, self.log.parent),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_until_current()

    def stop(self) -> None:
        """End the server; once ended this does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def wait_until_current(self) -> None:
        """Wait until the server has the chain's tip and exactly its mempool."""
        deadline = time.monotonic() + SECONDS
        while not self._is_current():
            if time.monotonic() > deadline:
                raise TimeoutError(f"ElectrumX did not catch up: {self.log.read_text()[-2000:]}")
            time.sleep(NAP_SECONDS)

    def _is_current(self) -> bool:
        tip, waiting = self.daemon.chain.tip(), self.daemon.chain.mempool()
        try:
            with _talk(self.port) as ask:
                header = ask("blockchain.headers.subscribe")
                if double_sha256(bytes.fromhex(header["hex"]))[::-1].hex() != tip.hash:
                    return False
                for txid in waiting:
                    self._known.setdefault(txid, self._script_hash(txid))
                told = {txid: self._has(ask, txid) for txid in self._known}
        except OSError:  # it does not listen yet
            return False
        self._known = {txid: script for txid, script in self._known.items() if told[txid]}
        return set(self._known) == set(waiting)

    def _has(self, ask: Ask, txid: str) -> bool:
        waiting = ask("blockchain.scripthash.get_mempool", self._known[txid])
        return txid in {item["tx_hash"] for item in waiting}

    def _script_hash(self, txid: str) -> str:
        raw = self.daemon.chain.transaction(txid)
        assert raw is not None
        script_pubkey = parse_transaction(raw).outputs[0].script_pubkey
        return hashlib.sha256(script_pubkey).digest()[::-1].hex()


@contextmanager
def electrumx(daemon: Daemon, folder: Path) -> Iterator[ElectrumServer]:
    """Run ElectrumX until the block ends; it is ready and current when the block begins."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ElectrumServer(daemon, free_port(), folder / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _environment(server: ElectrumServer, folder: Path) -> dict[str, str]:
    login, address = server.daemon.cookie.read_text(), server.daemon.url.removeprefix("http://")
    return {
        "PATH": os.environ["PATH"],
        "COIN": "Bitcoin",
        "NET": "regtest",
        "DB_ENGINE": "leveldb",
        "DB_DIRECTORY": str(folder),
        "DAEMON_URL": f"http://{login}@{address}",
        "SERVICES": f"tcp://127.0.0.1:{server.port}",
        "DAEMON_POLL_INTERVAL_BLOCKS": str(POLL_MILLISECONDS),
        "DAEMON_POLL_INTERVAL_MEMPOOL": str(POLL_MILLISECONDS),
        "PEER_DISCOVERY": "off",
        "PEER_ANNOUNCE": "",
        "ALLOW_ROOT": "1",
        "CACHE_MB": "16",
        "COST_SOFT_LIMIT": "0",
        "COST_HARD_LIMIT": "0",
        "REQUEST_SLEEP": "0",
        "MAX_SEND": "100000000",
    }


def _tied_to_this_process() -> list[str]:
    """Return what makes a program die with the one that started it, where there is such a thing."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL"] if found else []


@contextmanager
def _talk(port: int) -> Iterator[Ask]:
    """Speak the Electrum protocol: one line a request, one an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        lines = connection.makefile("rwb")

        def ask(method: str, *params: object) -> object:
            request = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
            lines.write(json.dumps(request).encode() + b"\n")
            lines.flush()
            while line := lines.readline():
                answer = json.loads(line)
                if "id" in answer:  # what has none is a notification
                    return answer["result"]
            raise ConnectionResetError

        with lines:
            ask("server.version", CLIENT, PROTOCOL)
            yield ask
