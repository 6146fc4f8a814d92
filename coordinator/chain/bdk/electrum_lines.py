"""Electrum's protocol, a line of JSON each way, for what BDK's client does not ask: histories."""

import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing

from coordinator.chain.bdk.local_proxy import through_socks
from coordinator.chain.url import ELECTRUM_SSL, ChainUrl
from coordinator.errors import ChainError
from coordinator.foreign_json import Field, read_json
from psbt.transaction import double_sha256

LINE_MAX = 32 * 1024 * 1024
BATCH = 100
HISTORY_MAX = 100_000
DEPTH_MAX = 40
"""More hashes than any block's tree is deep."""
UNASKED_MAX = 1_000
VERSION = ("cardquorum", "1.4")
SHOWN_MAX = 200


class ElectrumLines:
    """A connection to an Electrum server; each failure of it is an OSError or a ValueError."""

    def __init__(self, url: ChainUrl, bridge: tuple[str, int], seconds: float) -> None:
        """Connect through the bridge; raises OSError."""
        found = through_socks(bridge, url.host, url.port or 0)
        found.settimeout(seconds)
        self._socket = _secured(found, url) if url.scheme == ELECTRUM_SSL else found
        self._stream = self._socket.makefile("rb")
        self._next = 0
        self.ask("server.version", [VERSION])

    def ask(self, method: str, parameters: Sequence[Sequence[object]]) -> list[Field]:
        """Return the answers to one method, in the order of what it was asked for."""
        found: list[Field] = []
        for start in range(0, len(parameters), BATCH):
            found += self._batch(method, parameters[start : start + BATCH])
        return found

    def close(self) -> None:
        """End the connection."""
        with closing(self._socket), closing(self._stream):
            pass

    def _batch(self, method: str, parameters: Sequence[Sequence[object]]) -> Iterator[Field]:
        first, self._next = self._next, self._next + len(parameters)
        lines = [
            json.dumps({"jsonrpc": "2.0", "id": first + at, "method": method, "params": each})
            for at, each in enumerate(parameters)
        ]
        self._socket.sendall(("\n".join(lines) + "\n").encode())
        answers: dict[int, Field] = {}
        for _ in range(len(parameters) + UNASKED_MAX):
            if len(answers) == len(parameters):
                break
            line = self._stream.readline(LINE_MAX)
            if not line.endswith(b"\n"):
                raise ConnectionError("the connection ended in the middle of an answer")
            answer = Field(read_json(line, size_max=LINE_MAX), "the answer")
            number = answer.member("id")
            if number is None:
                continue  # a message about a subscription
            at = number.integer(first, self._next - 1)
            refused = answer.member("error")
            if refused is not None:
                raise ChainError(f"refuses {method}: {str(refused.value)[:SHOWN_MAX]}")
            answers[at] = answer["result"]
        if len(answers) < len(parameters):
            raise ValueError(f"answers {UNASKED_MAX:,} times more than it was asked")
        return (answers[first + at] for at in range(len(parameters)))


def proven_root(txid: str, proof: Field) -> bytes:
    """Return the root of the tree that a Merkle proof leads to from a transaction, wire order."""
    place = proof["pos"].integer(0, (1 << DEPTH_MAX) - 1)
    found = bytes.fromhex(txid)[::-1]
    for each in proof["merkle"].items(DEPTH_MAX):
        other = bytes.fromhex(each.hash())[::-1]
        found = double_sha256(other + found if place & 1 else found + other)
        place >>= 1
    if place:
        raise ValueError(f"{proof.name}.pos is beyond the tree")
    return found


def _secured(found: socket.socket, url: ChainUrl) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    if url.options.get("verify") == "no":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(found, server_hostname=url.host)
    except OSError:
        found.close()
        raise
