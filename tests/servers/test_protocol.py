"""The peer's messages one by one, as a light client that is no library sees them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest.blocks import GENESIS_HASH
from psbt.transaction import ByteReader, vector
from tests.coordinator.chain.purse import Purse
from tests.patience import SECONDS
from tests.servers import messages
from tests.servers.filter_index import FilterIndex
from tests.servers.filters import basic_filter, filter_hash, filter_header, genesis
from tests.servers.messages import Item, Message
from tests.servers.peer import Peer, serve

UNKNOWN = "ab" * 32
NO_STOP = "00" * 32


class Client:
    """Sends what it is told and waits for the answer it wants."""

    def __init__(self, peer: Peer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", peer.port), SECONDS)
        self._stream = self._socket.makefile("rb")

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, command: str, payload: bytes = b"") -> None:
        self._socket.sendall(Message(command, payload).raw)

    def next(self, command: str) -> bytes:
        while (message := messages.read_message(self._stream)) is not None:
            if message.command == command:
                return message.payload
        raise EOFError(command)

    def ask(self, command: str, payload: bytes, answer: str) -> bytes:
        self.send(command, payload)
        return self.next(answer)

    def shake_hands(self) -> bytes:
        version = self.ask("version", messages.version(0).payload, "version")
        self.next("verack")
        self.ask("verack", b"", "feefilter")
        return version

    def headers(self, *known: str, stop: str = NO_STOP) -> list[bytes]:
        payload = bytes(4) + vector(known, messages.hash_bytes) + messages.hash_bytes(stop)
        return read_headers(self.ask("getheaders", payload, "headers"))


def read_headers(payload: bytes) -> list[bytes]:
    reader = ByteReader(payload)
    found = [item[:80] for item in reader.vector(lambda each: each.take(81))]
    reader.end()
    return found


def stretch(start: int, stop: str) -> bytes:
    return b"\x00" + start.to_bytes(4, "little") + messages.hash_bytes(stop)


@pytest.fixture
def chain(tmp_path: Path) -> RegtestChain:
    chain = RegtestChain(tmp_path / "chain")
    chain.mine(5)
    return chain


@pytest.fixture
def peer(chain: RegtestChain) -> Iterator[Peer]:
    with serve(chain) as serving:
        yield serving


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    client = Client(peer)
    yield client
    client.close()


def test_the_handshake_tells_services_and_height(client: Client) -> None:
    version = ByteReader(client.shake_hands())
    assert (version.number(4), version.number(8)) == (70_016, 0b100_0100_1001)
    version.take(8 + 26 + 26 + 8)
    assert (version.sized(), version.number(4)) == (messages.AGENT, 5)


def test_a_ping_comes_back(client: Client) -> None:
    assert client.ask("ping", b"12345678", "pong") == b"12345678"


def test_headers_follow_the_newest_block_known(client: Client, chain: RegtestChain) -> None:
    raws = [block.header.raw for _, block in chain.blocks()]
    hashes = [block.hash for _, block in chain.blocks()]
    assert client.headers(GENESIS_HASH) == raws
    assert client.headers(hashes[2], GENESIS_HASH) == raws[3:]
    assert client.headers(UNKNOWN) == raws
    assert client.headers(UNKNOWN, hashes[1]) == raws[2:]
    assert client.headers(GENESIS_HASH, stop=hashes[2]) == raws[:3]
    assert client.headers(hashes[-1]) == []


def test_filters_and_their_headers_chain_from_genesis_on(
    client: Client, chain: RegtestChain
) -> None:
    blocks = [genesis(), *[block for _, block in chain.blocks()]]
    filters = [basic_filter(block, []) for block in blocks]
    headers = [bytes(32)]
    for filtered in filters:
        headers.append(filter_header(filtered, headers[-1]))
    for start, stop in ((0, 5), (1, 5), (2, 3), (5, 5)):
        told = messages.hash_bytes(blocks[stop].hash)
        hashes = vector(filters[start : stop + 1], filter_hash)
        answer = client.ask("getcfheaders", stretch(start, blocks[stop].hash), "cfheaders")
        assert answer == b"\x00" + told + headers[start] + hashes
        client.send("getcfilters", stretch(start, blocks[stop].hash))
        for block, filtered in list(zip(blocks, filters, strict=True))[start : stop + 1]:
            named = b"\x00" + messages.hash_bytes(block.hash)
            assert client.next("cfilter") == named + bytes((len(filtered),)) + filtered


def test_an_unknown_stretch_gets_no_answer(client: Client) -> None:
    client.send("getcfheaders", stretch(0, UNKNOWN))
    client.send("getcfilters", stretch(0, UNKNOWN))
    client.send("ping", b"12345678")
    message = messages.read_message(client._stream)
    assert message == Message("pong", b"12345678")


def test_checkpoints_come_each_thousand_blocks(client: Client, chain: RegtestChain) -> None:
    payload = b"\x00" + messages.hash_bytes(chain.tip().hash)
    assert client.ask("getcfcheckpt", payload, "cfcheckpt") == payload + b"\x00"


def test_blocks_and_waiting_transactions_are_handed_out(
    client: Client, chain: RegtestChain
) -> None:
    (txid,) = chain.fund(Purse("paid").script_pubkey, 10_000)
    (_, block) = chain.blocks()[-1]
    wanted = messages.inventory(
        "getdata", [Item(messages.BLOCK | messages.WITH_WITNESS, block.hash)]
    )
    assert client.ask("getdata", wanted.payload, "block") == block.raw
    raw = chain.transaction(txid)
    wanted = messages.inventory(
        "getdata", [Item(messages.TRANSACTION | messages.WITH_WITNESS, txid)]
    )
    assert client.ask("getdata", wanted.payload, "tx") == raw
    missing = messages.inventory(
        "getdata", [Item(messages.BLOCK, UNKNOWN), Item(messages.BLOCK, txid)]
    )
    assert client.ask("getdata", missing.payload, "notfound") == missing.payload


def test_an_announced_transaction_is_asked_for_and_a_block_is_not(client: Client) -> None:
    items = [Item(messages.BLOCK, UNKNOWN), Item(messages.WITNESS_TRANSACTION, UNKNOWN)]
    announced = messages.inventory("inv", items)
    wanted = messages.inventory("getdata", items[1:])
    assert client.ask("inv", announced.payload, "getdata") == wanted.payload


def test_new_blocks_are_announced_as_inventory(client: Client, chain: RegtestChain) -> None:
    client.shake_hands()
    (mined,) = chain.mine(1)
    announced = messages.inventory("inv", [Item(messages.BLOCK, mined)])
    assert client.next("inv") == announced.payload


def test_new_blocks_are_announced_as_headers_to_who_asked_for_them(
    client: Client, chain: RegtestChain
) -> None:
    client.send("sendheaders")
    client.shake_hands()
    chain.reorganise(2)
    rivals = [block.header.raw for _, block in chain.blocks(2)]
    told: list[bytes] = []
    while told[-1:] != rivals[-1:]:
        told += read_headers(client.next("headers"))
    assert told == rivals


def test_nothing_is_announced_before_the_handshake(
    client: Client, peer: Peer, chain: RegtestChain
) -> None:
    client.ask("ping", b"12345678", "pong")
    chain.mine(1)
    peer._conversations[0].announce()
    client.send("ping", b"87654321")
    assert messages.read_message(client._stream) == Message("pong", b"87654321")


def test_another_protocol_is_hung_up_on(client: Client) -> None:
    client._socket.sendall(bytes(range(64)))
    assert client._stream.read(1) == b""


def test_the_cut_comes_after_so_many_messages(peer: Peer, client: Client) -> None:
    peer.cut_after(2)
    assert client.ask("ping", b"11111111", "pong")
    assert client.ask("ping", b"22222222", "pong")
    client.send("ping", b"33333333")
    assert client._stream.read(1) == b""


def test_a_lie_about_filters_leaves_their_headers_alone(
    peer: Peer, client: Client, chain: RegtestChain
) -> None:
    tip = chain.tip().hash
    honest = client.ask("getcfheaders", stretch(5, tip), "cfheaders")
    peer.lie_about_filters = True
    assert client.ask("getcfheaders", stretch(5, tip), "cfheaders") == honest
    assert client.ask("getcfilters", stretch(5, tip), "cfilter")[-2:] == b"\x01\x00"
    peer.lie_about_filters, peer.lie_about_headers = False, True
    told = client.ask("getcfheaders", stretch(5, tip), "cfheaders")
    assert told[-32:] == filter_hash(b"\x00")
    assert told[33:65] != honest[33:65]
    assert client.ask("getcfilters", stretch(5, tip), "cfilter")[-2:] == b"\x01\x00"


def test_the_filter_of_a_block_covers_the_coins_it_spends(chain: RegtestChain) -> None:
    payer, payee = Purse("payer"), Purse("payee")
    (txid,) = chain.fund(payer.script_pubkey, 10_000)
    chain.mine(1)
    coins = payer.coins(chain.transaction(txid) or b"")
    chain.broadcast(payer.spend(coins, to=payee.script_pubkey).raw)
    chain.mine(1)
    index = FilterIndex()
    index.follow(chain.blocks())
    block = index.tip.block
    made = {output.script_pubkey for tx in block.transactions for output in tx.outputs}
    assert payer.script_pubkey not in made
    assert index.tip.filtered == basic_filter(block, [payer.script_pubkey])
    assert index.tip.filtered != basic_filter(block, [])


def test_the_index_follows_a_reorganisation_and_keeps_what_it_left(chain: RegtestChain) -> None:
    index = FilterIndex()
    index.follow(chain.blocks())
    left = index.tip
    chain.reorganise(3)
    index.follow(chain.blocks())
    assert index.tip.block.hash == chain.tip().hash
    assert [entry.height for entry in index.above([left.block.hash])] == [1, 2, 3, 4, 5, 6]
    assert [e.height for e in index.above(index.ancestry(left.block.hash))] == [4, 5, 6]
    assert index.line(4, left.block.hash)[-1] == left
    fork = index.entries[index.best[3]]
    hashed = filter_header(index.entries[index.best[4]].filtered, fork.header)
    assert index.entries[index.best[4]].header == hashed
