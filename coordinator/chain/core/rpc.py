"""Bitcoin Core's JSON-RPC: one call or many, every failure in words."""

import base64
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from coordinator.errors import ChainError, ChainUnreachable
from coordinator.foreign_json import Field, read_json, shown

# With these a node before version 28 answers a request that failed; a newer one uses 200.
ANSWERED = frozenset({200, 400, 404, 500})
STARTING = -28
BATCH = 100
ANSWER_SIZE_MAX = 128 * 1024 * 1024
"""More than a batch of standard transactions takes, or 180,000 entries of a wallet's list."""
CHUNK = 65_536
WHOLE_ANSWERS = 10
"""An answer that comes in pieces is whole after so many times the time to begin it."""
MESSAGE_MAX = 500


class RpcError(ChainError):
    """Bitcoin Core answered with an error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        self.method = method
        self.rpc_code = code
        self.rpc_message = message
        super().__init__(f"Bitcoin Core refuses {method}: {message} ({code})")


class Node(NamedTuple):
    """Where a node listens, the file with `name:password`, and how many seconds it may take."""

    host: str
    port: int
    credentials: Path
    seconds: float | None

    def __str__(self) -> str:
        """Write host and port."""
        return f"Bitcoin Core at {self.host}:{self.port}"


Call = tuple[str, Sequence[object]]


def call(node: Node, method: str, *params: object, wallet: str = "") -> Field:
    """Return what the node answers to one call, as a field named after it.

    Raises RpcError for an answer that is an error, ChainUnreachable for none. What is asked of
    the field raises ValueError where it is of another type or range than Core's.
    """
    (answer,) = calls(node, [(method, params)], wallet=wallet)
    if isinstance(answer, RpcError):
        raise answer
    return answer


def calls(node: Node, wanted: Sequence[Call], *, wallet: str = "") -> Iterator[Field | RpcError]:
    """Yield what the node answers to each call, in order; an RpcError stands for a refused one."""
    path = f"/wallet/{wallet}" if wallet else "/"
    for start in range(0, len(wanted), BATCH):
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in enumerate(wanted[start : start + BATCH])
        ]
        # A single call goes alone: a refused batch would not say which call it was.
        body = requests[0] if len(requests) == 1 else requests
        answer = _exchange(node, path, json.dumps(body).encode())
        answers = answer if isinstance(answer, list) else [answer]
        objects = [each for each in answers if isinstance(each, dict)]
        found = {each["id"]: each for each in objects if type(each.get("id")) is int}
        for request in requests:
            yield _result(node, str(request["method"]), found.get(request["id"]))


def _result(node: Node, method: str, answer: dict[str, object] | None) -> Field | RpcError:
    if answer is None:
        raise ChainError(f"{node} did not answer {method}")
    error = answer.get("error")
    if error is None and "result" in answer:
        return Field(answer["result"], method)
    if not isinstance(error, dict):
        raise ChainError(f"{node} answers {method} with something that is no JSON-RPC")
    code, told = error.get("code"), error.get("message")
    message = told[:MESSAGE_MAX] if isinstance(told, str) else shown(told)
    if code == STARTING:
        raise ChainUnreachable(f"{node} is still starting: {message}")
    return RpcError(method, code if type(code) is int else 0, message)


def _exchange(node: Node, path: str, body: bytes) -> object:
    """Send a request and return the JSON that comes back."""
    status, raw = _post(node, path, body)
    if status == http.client.UNAUTHORIZED:
        raise ChainUnreachable(f"{node} does not accept the name and password in {_file(node)}")
    if status == http.client.FORBIDDEN:
        raise ChainUnreachable(_forbidden(node, body))
    if status == http.client.SERVICE_UNAVAILABLE:
        raise ChainUnreachable(f"{node} is overloaded (HTTP status 503)")
    if status not in ANSWERED:
        raise ChainUnreachable(f"{node} answers with HTTP status {status}")
    try:
        return read_json(raw, size_max=ANSWER_SIZE_MAX)
    except json.JSONDecodeError as failure:
        raise ChainUnreachable(f"{node} answers with something that is no JSON") from failure
    except ValueError as failure:
        raise ChainUnreachable(
            f"{node} answers with JSON that cannot be read: {failure}"
        ) from failure


def _forbidden(node: Node, body: bytes) -> str:
    """Say who may not ask: Core refuses a computer before it looks at the password."""
    if _post(node, "/", body, nameless=True)[0] != http.client.UNAUTHORIZED:
        return f"{node} does not let this computer ask it (rpcallowip)"
    asked = json.loads(body)
    calls = asked if isinstance(asked, list) else [asked]
    methods = ", ".join(dict.fromkeys(str(each["method"]) for each in calls))
    return (
        f"{node} does not let this computer ask it {methods}: the user in {_file(node)} may not "
        "(rpcwhitelist)"
    )


def _post(node: Node, path: str, body: bytes, *, nameless: bool = False) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"}
    if not nameless:
        headers["Authorization"] = f"Basic {_credentials(node)}"
    connection = http.client.HTTPConnection(node.host, node.port, timeout=node.seconds)
    overdue = threading.Event()
    try:
        with closing(connection):
            connection.connect()
            with _deadline(connection.sock, node.seconds, overdue):
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                raw = _body(node, response)
                if overdue.is_set():  # a body without a length ends where it was cut
                    raise http.client.IncompleteRead(b"")
                return response.status, raw
    except TimeoutError as failure:
        waited = f"{node.seconds:g} seconds"
        raise ChainUnreachable(f"{node} does not answer within {waited}") from failure
    except (http.client.HTTPException, ValueError) as failure:
        # The standard library reads what a chunk's length or a header cannot be as ValueError.
        raise ChainUnreachable(_broken(node, overdue)) from failure
    except OSError as failure:
        if overdue.is_set():
            raise ChainUnreachable(_broken(node, overdue)) from failure
        reason = failure.strerror or failure
        raise ChainUnreachable(
            f"no node answers at {node.host}:{node.port}: {node} cannot be reached: {reason}"
        ) from failure


@contextmanager
def _deadline(
    connection: socket.socket, seconds: float | None, overdue: threading.Event
) -> Iterator[None]:
    """End a connection whose answer trickles in: each piece in time, the whole of it never."""
    if seconds is None:
        yield
        return

    def cut() -> None:
        overdue.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(seconds * WHOLE_ANSWERS, cut)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _body(node: Node, response: http.client.HTTPResponse) -> bytes:
    """Return the body of an answer, chunked or not; raises ChainUnreachable for a longer one."""
    pieces: list[bytes] = []
    size, promised = 0, response.length or 0
    while max(size, promised) <= ANSWER_SIZE_MAX and (piece := response.read(CHUNK)):
        pieces.append(piece)
        size += len(piece)
    if max(size, promised) > ANSWER_SIZE_MAX:
        raise ChainUnreachable(f"{node} answers with more than {ANSWER_SIZE_MAX:,} bytes")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(pieces)


def _broken(node: Node, overdue: threading.Event) -> str:
    if overdue.is_set():
        return (
            f"{node} does not end its answer within {(node.seconds or 0) * WHOLE_ANSWERS:g} seconds"
        )
    return f"{node} broke off in the middle of an answer"


def _credentials(node: Node) -> str:
    """Return the HTTP credentials, read each time: a node that starts writes a new cookie."""
    try:
        text = node.credentials.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failure:
        if isinstance(failure, FileNotFoundError):
            # A node that stops takes its cookie away: whether one answers is said first.
            _refuse_stopped(node)
        raise ChainUnreachable(
            f"{_file(node)} with the password for {node} cannot be read, though a node answers"
        ) from failure
    if ":" not in text or "\n" in text:
        raise ChainUnreachable(f"{_file(node)} is not one line NAME:PASSWORD")
    return base64.b64encode(text.encode()).decode()


def _refuse_stopped(node: Node) -> None:
    """Raise ChainUnreachable where nobody listens at the node's port."""
    try:
        socket.create_connection((node.host, node.port), node.seconds).close()
    except OSError as failure:
        reason = failure.strerror or failure
        raise ChainUnreachable(
            f"no node answers at {node.host}:{node.port}: {reason}; its cookie {_file(node)} is "
            "not there"
        ) from failure


def _file(node: Node) -> str:
    """Name the file; a bare word that is none may be the password itself."""
    file = node.credentials.expanduser()
    known = file.exists() or len(file.parts) > 1
    return str(node.credentials) if known else "the file that the chain URL names"
