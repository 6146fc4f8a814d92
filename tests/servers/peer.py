"""A Bitcoin peer that serves an embedded regtest chain with its compact filters (BIP 157)."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest.log import MAGIC
from coordinator.errors import ChainError
from psbt.errors import PsbtError
from psbt.relay import CORE_30
from psbt.transaction import Transaction, parse_transaction, sized, vector
from tests.servers import messages
from tests.servers.filter_index import Entry, FilterIndex
from tests.servers.filters import filter_hash, filter_header
from tests.servers.messages import Asked, Item, Message

POLL_SECONDS = 0.05
MOST_HEADERS = 2_000
MOST_FILTERS = 1_000
CHECKPOINT_BLOCKS = 1_000
EMPTY_FILTER = b"\x00"
FILTER_COMMANDS = frozenset({"getcfheaders", "getcfilters", "getcfcheckpt"})

Answers = Iterator[Message]


class Peer:
    """Listens on a loopback port; what it does wrong can be set while it runs."""

    def __init__(self, chain: RegtestChain) -> None:
        """Choose a port; nothing listens before start()."""
        # Its own view of the folder: two threads must not read through one.
        self.chain = RegtestChain(chain._folder)
        self.lie_about_filters = False
        """Serve filters that are not those the filter headers commit to."""
        self.lie_about_headers = False
        """Serve empty filters, and headers that commit to them."""
        self.silent_on: frozenset[str] = frozenset()
        """Commands that get no answer."""
        self.heard: list[str] = []
        """Every command that came in, over all connections."""
        self.asked: list[Asked] = []
        """Every stretch of filters asked for."""
        self.limit: int | None = None
        self.services = messages.SERVICES
        self.magic = MAGIC
        self.relays = True
        self.lock = threading.RLock()
        self._index = FilterIndex()
        self._listener = _listening(0)
        self._port = self._listener.getsockname()[1]
        self._listener.close()
        self._conversations: list[Conversation] = []
        self._stopping = threading.Event()
        self._keeper = threading.Thread()

    @property
    def port(self) -> int:
        """Return the port, the same through every stop and start."""
        return int(self._port)

    @property
    def url(self) -> str:
        """Return the chain URL that leads here."""
        return f"p2p://127.0.0.1:{self.port}"

    @property
    def index(self) -> FilterIndex:
        """Return the filters up to the chain's tip as it is now."""
        with self.lock:
            if self.chain.tip().hash != self._index.tip.block.hash:
                self._index.follow(self.chain.blocks())
            return self._index

    def cut_after(self, messages: int | None) -> None:
        """Break every connection that has been sent so many messages; None heals."""
        self.limit = messages

    def start(self) -> None:
        """Listen, on the same port each time."""
        self._stopping = threading.Event()
        self._listener = _listening(self._port)
        self._keeper = threading.Thread(target=self._keep, name="peer")
        self._keeper.start()

    def stop(self) -> None:
        """Hang up and listen no more; once stopped this does nothing."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for conversation in self._conversations:
            conversation.end()
        self._conversations.clear()
        self._listener.close()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self._conversations.append(Conversation(self, connection))
            for conversation in self._conversations:
                conversation.announce()


class Conversation:
    """One connection, answered in a thread of its own."""

    def __init__(self, peer: Peer, connection: socket.socket) -> None:
        """Start answering."""
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = peer
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._sent = 0
        self._wants_headers = False
        self._told: str | None = None
        self._thread = threading.Thread(target=self._answer_all, name="conversation")
        self._thread.start()

    def announce(self) -> None:
        """Tell of blocks the client was not told of yet, once it has shaken hands."""
        with self._peer.lock:
            index = self._peer.index
            if self._told in {None, index.tip.block.hash}:
                return
            news = index.above(index.ancestry(self._told or ""))
            self._told = index.tip.block.hash
        if self._wants_headers:
            self._send(_headers(news))
        else:
            items = [Item(messages.BLOCK, entry.block.hash) for entry in news]
            self._send(messages.inventory("inv", items))

    def end(self) -> None:
        """Hang up and wait for the thread."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _answer_all(self) -> None:
        with self._connection, self._stream, suppress(OSError, PsbtError):
            while (message := self._next()) is not None:
                self._peer.heard.append(message.command)
                if self._is_beyond(message):
                    return
                answer = ANSWERS.get(message.command)
                if answer and message.command not in self._peer.silent_on:
                    for reply in answer(self, message.payload):
                        self._send(reply)

    def _is_beyond(self, message: Message) -> bool:
        """Tell whether a peer of such services hangs up, as a real node does."""
        services = self._peer.services
        if message.command in FILTER_COMMANDS:
            return not services & messages.COMPACT_FILTERS
        if message.command != "getdata" or services & messages.NETWORK:
            return False
        kinds = {
            item.kind & ~messages.WITH_WITNESS for item in messages.read_items(message.payload)
        }
        return messages.BLOCK in kinds

    def _next(self) -> Message | None:
        return messages.read_message(self._stream, self._peer.magic)

    def _send(self, message: Message) -> None:
        with self._peer.lock, suppress(OSError):
            limit = self._peer.limit
            if limit is not None and self._sent >= limit:
                self._connection.shutdown(socket.SHUT_RDWR)
                return
            self._sent += 1
            self._connection.sendall(message.framed(self._peer.magic))

    def _version(self, _: bytes) -> Answers:
        height = self._peer.index.tip.height
        yield messages.version(height, self._peer.services, relays=self._peer.relays)
        yield Message("wtxidrelay")
        yield Message("sendaddrv2")
        yield Message("verack")

    def _verack(self, _: bytes) -> Answers:
        self._told = self._peer.index.tip.block.hash
        yield Message("sendheaders")
        yield Message("feefilter", CORE_30.minimum.to_bytes(8, "little"))

    def _sendheaders(self, _: bytes) -> Answers:
        self._wants_headers = True
        yield from ()

    def _ping(self, payload: bytes) -> Answers:
        yield Message("pong", payload)

    def _getheaders(self, payload: bytes) -> Answers:
        known, stop = messages.read_locator(payload)
        news = self._peer.index.above(known)
        hashes = [entry.block.hash for entry in news]
        yield _headers(news[: hashes.index(stop) + 1] if stop in hashes else news[:MOST_HEADERS])

    def _getcfheaders(self, payload: bytes) -> Answers:
        asked = messages.read_asked(payload)
        entries = self._line(max(asked.start - 1, 0), asked.stop)
        wanted = [entry for entry in entries if entry.height >= asked.start]
        if 0 < len(wanted) <= MOST_HEADERS:
            before = entries[0].header if asked.start else bytes(32)
            hashes = vector(wanted, lambda entry: filter_hash(entry.filtered))
            yield Message("cfheaders", b"\x00" + messages.hash_bytes(asked.stop) + before + hashes)

    def _getcfilters(self, payload: bytes) -> Answers:
        asked = messages.read_asked(payload)
        self._peer.asked.append(asked)
        wanted = self._line(asked.start, asked.stop)
        if len(wanted) <= MOST_FILTERS:
            for entry in wanted:
                served = EMPTY_FILTER if self._peer.lie_about_filters else entry.filtered
                named = b"\x00" + messages.hash_bytes(entry.block.hash)
                yield Message("cfilter", named + sized(served))

    def _getcfcheckpt(self, payload: bytes) -> Answers:
        stop = payload[1:33][::-1].hex()
        headers = [entry.header for entry in self._line(0, stop)][
            CHECKPOINT_BLOCKS::CHECKPOINT_BLOCKS
        ]
        yield Message("cfcheckpt", payload[:33] + vector(headers, bytes))

    def _getdata(self, payload: bytes) -> Answers:
        missing = []
        for item in messages.read_items(payload):
            if found := self._found(item):
                yield found
            else:
                missing.append(item)
        if missing:
            yield messages.inventory("notfound", missing)

    def _inv(self, payload: bytes) -> Answers:
        kinds = {messages.TRANSACTION, messages.WITNESS_TRANSACTION}
        # A real node does not ask for what it has.
        wanted = [
            item
            for item in messages.read_items(payload)
            if item.kind in kinds and self._found(item) is None
        ]
        if wanted:
            yield messages.inventory("getdata", wanted)

    def _tx(self, payload: bytes) -> Answers:
        with self._peer.lock, suppress(ChainError):
            self._peer.chain.broadcast(payload)
        yield from ()

    def _line(self, start: int, stop: str) -> list[Entry]:
        line = self._peer.index.line(0, stop)
        return (_emptied(line) if self._peer.lie_about_headers else line)[start:]

    def _found(self, item: Item) -> Message | None:
        kind = item.kind & ~messages.WITH_WITNESS
        if kind == messages.BLOCK:
            entry = self._peer.index.entries.get(item.hash)
            return Message("block", entry.block.raw) if entry else None
        waiting = (tx for tx in self._waiting() if item.hash in {tx.txid, tx.wtxid})
        return next((Message("tx", transaction.raw) for transaction in waiting), None)

    def _waiting(self) -> list[Transaction]:
        with self._peer.lock:
            chain = self._peer.chain
            raws = [chain.transaction(txid) for txid in chain.mempool()]
        return [parse_transaction(raw) for raw in raws if raw]


ANSWERS: Mapping[str, Callable[[Conversation, bytes], Answers]] = {
    "version": Conversation._version,
    "verack": Conversation._verack,
    "sendheaders": Conversation._sendheaders,
    "ping": Conversation._ping,
    "getheaders": Conversation._getheaders,
    "getcfheaders": Conversation._getcfheaders,
    "getcfilters": Conversation._getcfilters,
    "getcfcheckpt": Conversation._getcfcheckpt,
    "getdata": Conversation._getdata,
    "inv": Conversation._inv,
    "tx": Conversation._tx,
}


@contextmanager
def serve(chain: RegtestChain) -> Iterator[Peer]:
    """Serve a chain until the block ends."""
    peer = Peer(chain)
    peer.start()
    try:
        yield peer
    finally:
        peer.stop()


def _listening(port: int) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(POLL_SECONDS)
    return listener


def _headers(entries: list[Entry]) -> Message:
    return Message("headers", vector(entries, lambda entry: entry.block.header.raw + b"\x00"))


def _emptied(entries: list[Entry]) -> list[Entry]:
    """Return the blocks with filters that match nothing, and headers to go with them."""
    header = bytes(32)
    emptied = []
    for entry in entries:
        header = filter_header(EMPTY_FILTER, header)
        emptied.append(entry._replace(filtered=EMPTY_FILTER, header=header))
    return emptied
