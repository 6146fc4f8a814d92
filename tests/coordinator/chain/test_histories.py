"""A vault is found by histories: what a server may tell of them, and what it is not believed."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.judges import judge

judge("bdkpython")

from coordinator.chain import Tip, Watch  # noqa: E402 -- with BDK alone
from coordinator.chain.bdk.electrum_lines import (  # noqa: E402 -- as above
    BATCH,
    UNASKED_MAX,
    ElectrumLines,
    proven_root,
)
from coordinator.chain.bdk.histories import Block, Placed, updated  # noqa: E402 -- as above
from coordinator.chain.bdk.local_proxy import Bridge  # noqa: E402 -- as above
from coordinator.chain.url import parse_url  # noqa: E402 -- as above
from coordinator.errors import ChainError  # noqa: E402 -- as above
from coordinator.foreign_json import Field  # noqa: E402 -- as above
from psbt.transaction import double_sha256  # noqa: E402 -- as above

LOOPBACK = ip_address("127.0.0.1")
SCRIPTS = frozenset({b"one", b"two"})


class Server:
    """Tells what it is told to."""

    def __init__(self, *known: Placed, tip: int = 9, mark: str = "aa") -> None:
        self.known, self.mark = known, mark
        self.height = tip
        self.raws = {each.txid: each.txid.encode() for each in known}
        self.proved: list[Placed] = []
        self.asked: list[bytes] = []

    def tip(self) -> Tip:
        return Tip(self.height, self.block(self.height).hash)

    def histories(self, scripts: Sequence[bytes]) -> Iterator[Placed]:
        self.asked += scripts
        yield from self.known

    def raw_transaction(self, txid: str) -> bytes:
        return self.raws[txid]

    def block(self, height: int) -> Block:
        return Block(f"{self.mark}{height:062x}", 1_000 + height)

    def prove(self, placed: Placed) -> None:
        self.proved.append(placed)


@pytest.fixture(autouse=True)
def named_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bytes of a transaction be its name."""

    class Parsed:
        def __init__(self, raw: bytes) -> None:
            self.txid = raw.decode()

    monkeypatch.setattr("coordinator.chain.bdk.histories.parse_transaction", Parsed)


A, B = "aa" * 32, "bb" * 32


def test_what_waits_is_told_each_time_and_what_is_known_once() -> None:
    server = Server(Placed(A, 7), Placed(B, None), Placed(A, 7))
    since = Tip(8, server.block(8).hash)
    first = updated(server, Watch(SCRIPTS), "regtest")
    assert server.asked == [b"one", b"two"]
    assert [(seen.txid, seen.height, seen.time) for seen in first.transactions] == [
        (A, 7, 1_007), (B, None, None),
    ]  # fmt: skip
    again = updated(server, Watch(SCRIPTS, since, known=lambda: {A: 7}), "regtest")
    assert (again.reorganised_to, [seen.txid for seen in again.transactions]) == (None, [B])
    assert server.proved == [Placed(A, 7)]
    moved = updated(server, Watch(SCRIPTS, since, known=lambda: {A: 6}), "regtest")
    assert {seen.txid for seen in moved.transactions} == {A, B}


@pytest.mark.parametrize("since", [Tip(8, "cc" * 32), Tip(99, "aa" * 32)])
def test_after_a_reorganisation_all_is_told_anew(since: Tip) -> None:
    server = Server(Placed(A, 7))
    update = updated(server, Watch(SCRIPTS, since, known=lambda: {A: 7}), "regtest")
    assert (update.reorganised_to, [seen.txid for seen in update.transactions]) == (0, [A])


def test_a_transaction_in_a_block_counts_where_it_waits_for_another_script() -> None:
    for known in ((Placed(A, None), Placed(A, 7)), (Placed(A, 7), Placed(A, None))):
        (seen,) = updated(Server(*known), Watch(SCRIPTS), "regtest").transactions
        assert seen.height == 7


def test_another_transaction_than_asked_for_is_refused() -> None:
    server = Server(Placed(A, 7))
    server.raws[A] = B.encode()
    with pytest.raises(ChainError, match=f"gives {B} for {A}"):
        updated(server, Watch(SCRIPTS), "regtest")


def told(
    answer: Callable[[dict[str, object]], Sequence[object]],
    scheme: str = "tcp",
    secured: ssl.SSLContext | None = None,
    more: str = "",
) -> ElectrumLines:
    """Return a connection to a server that answers each line with these."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError), listener, listener.accept()[0] as plain:
            client = secured.wrap_socket(plain, server_side=True) if secured else plain
            with client, client.makefile("rwb") as stream:
                talk(stream)

    def talk(stream: BinaryIO) -> None:
        for line in stream:
            answers = answer(json.loads(line))
            for each in answers:
                raw = each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n"
                stream.write(raw)
            stream.flush()
            if answers[-1:] == [b""]:
                return

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    url = parse_url(f"electrum+{scheme}://127.0.0.1:{port}{more}")
    return ElectrumLines(url, Bridge(None).address, 30)


def echo(asked: dict[str, object]) -> list[object]:
    return [{"id": asked["id"], "result": asked["params"]}]


def version_then(
    answer: Callable[[dict[str, object]], Sequence[object]],
) -> Callable[[dict[str, object]], Sequence[object]]:
    return lambda asked: echo(asked) if asked["method"] == "server.version" else answer(asked)


def test_answers_come_in_the_order_of_what_was_asked() -> None:
    def after_a_message(asked: dict[str, object]) -> list[object]:
        return [{"method": "blockchain.headers.subscribe", "params": []}, *echo(asked)]

    with closing(told(version_then(after_a_message))) as lines:
        wanted = [[str(number)] for number in range(2 * BATCH + 1)]
        assert [each.value for each in lines.ask("x", wanted)] == wanted


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (lambda _: [{"id": 77, "result": 1}], ValueError, "id is 77, not a whole number"),
        (lambda asked: [{"id": asked["id"]}], ValueError, "result is missing"),
        (lambda asked: [{"id": asked["id"], "error": {"m": "too large"}}], ChainError, "too large"),
        (lambda _: [b"no json\n"], ValueError, "damaged or cut off"),
        (lambda _: [b'{"id": 1', b""], OSError, "in the middle of an answer"),
        (lambda _: [{"params": []}] * (UNASKED_MAX + 2), ValueError, "more than it was asked"),
    ],
)
def test_what_is_no_answer_is_named(
    answer: Callable[[dict[str, object]], Sequence[object]], kind: type[Exception], said: str
) -> None:
    with (
        closing(told(version_then(answer))) as lines,
        pytest.raises(kind, match=said),
    ):
        lines.ask("x", [[1]])


def self_signed(folder: Path) -> ssl.SSLContext:
    """Return what a server shows that nobody vouches for."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    kept = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "pem").write_bytes(kept + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_told(tmp_path: Path) -> None:
    secured = self_signed(tmp_path)
    with pytest.raises(OSError, match="certificate verify failed"):
        told(echo, "ssl", secured)
    with closing(told(echo, "ssl", secured, "?verify=no")) as lines:
        assert [each.value for each in lines.ask("x", [[1]])] == [[1]]


def test_a_proof_leads_to_the_root_or_nowhere() -> None:
    leaves = [sha256(bytes([number])).digest() for number in range(4)]
    left, right = (double_sha256(leaves[at] + leaves[at + 1]) for at in (0, 2))
    root = double_sha256(left + right)
    hashes = [each[::-1].hex() for each in (leaves[3], left)]
    proof = Field({"pos": 2, "merkle": hashes}, "the proof")
    assert proven_root(leaves[2][::-1].hex(), proof) == root
    assert proven_root(leaves[1][::-1].hex(), proof) != root
    for place in (4, 6):
        with pytest.raises(ValueError, match="beyond the tree"):
            proven_root(leaves[2][::-1].hex(), Field({"pos": place, "merkle": hashes}, "the proof"))
    with pytest.raises(ValueError, match="holds 41 items"):
        proven_root(leaves[2][::-1].hex(), Field({"pos": 0, "merkle": hashes[:1] * 41}, "x"))
