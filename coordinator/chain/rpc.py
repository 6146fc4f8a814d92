"""Bitcoin Core's JSON-RPC: one call or many, every failure in words."""

import base64
import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.errors import ChainError, ChainUnreachable

# With these a node before version 28 answers a request that failed; a newer one uses 200.
ANSWERED = frozenset({200, 400, 404, 500})
STARTING = -28
BATCH = 500


class RpcError(ChainError):
    """Bitcoin Core answered with an error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        """Keep Core's code and message."""
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


def call(node: Node, method: str, *params: object, wallet: str = "") -> Any:  # noqa: ANN401 -- any JSON
    """Return what the node answers to one call.

    Raises RpcError for an answer that is an error, ChainUnreachable for none.
    """
    (answer,) = calls(node, [(method, params)], wallet=wallet)
    if isinstance(answer, RpcError):
        raise answer
    return answer


def calls(node: Node, wanted: Sequence[Call], *, wallet: str = "") -> Iterator[Any]:
    """Yield what the node answers to each call, in order; an RpcError stands for a refused one."""
    for start in range(0, len(wanted), BATCH):
        yield from _batch(node, wanted[start : start + BATCH], wallet)


def _batch(node: Node, wanted: Sequence[Call], wallet: str) -> Iterator[Any]:
    requests = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
        for number, (method, params) in enumerate(wanted)
    ]
    # A single call goes alone: a refused batch would not say which call it was.
    body = requests[0] if len(requests) == 1 else requests
    answer = _exchange(node, f"/wallet/{wallet}" if wallet else "/", json.dumps(body).encode())
    answers = answer if isinstance(answer, list) else [answer]
    found = {each.get("id"): each for each in answers if isinstance(each, dict)}
    for request in requests:
        yield _result(node, str(request["method"]), found.get(request["id"]))


def _result(node: Node, method: str, answer: dict[str, Any] | None) -> Any:  # noqa: ANN401 -- any JSON
    if answer is None:
        raise ChainError(f"{node} leaves {method} without an answer")
    error = answer.get("error")
    if error is None and "result" in answer:
        return answer["result"]
    if not isinstance(error, dict):
        raise ChainError(f"{node} answers {method} with something that is no JSON-RPC")
    code, message = error.get("code"), str(error.get("message"))
    if code == STARTING:
        raise ChainUnreachable(f"{node} is still starting: {message}")
    return RpcError(method, code if isinstance(code, int) else 0, message)


def _exchange(node: Node, path: str, body: bytes) -> object:
    """Send a request and return the JSON that comes back."""
    status, raw = _post(node, path, body)
    if status == http.client.UNAUTHORIZED:
        raise ChainUnreachable(f"{node} does not accept the name and password in {_file(node)}")
    if status == http.client.FORBIDDEN:
        raise ChainUnreachable(f"{node} does not let this computer ask it (rpcallowip)")
    if status == http.client.SERVICE_UNAVAILABLE:
        raise ChainUnreachable(f"{node} has too much to do just now (503)")
    if status not in ANSWERED:
        raise ChainUnreachable(f"{node} answers with HTTP status {status}")
    try:
        return json.loads(raw, parse_float=Decimal)
    except ValueError as failure:
        raise ChainUnreachable(f"{node} answers with something that is no JSON") from failure


def _post(node: Node, path: str, body: bytes) -> tuple[int, bytes]:
    headers = {"Authorization": f"Basic {_credentials(node)}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(node.host, node.port, timeout=node.seconds)
    try:
        with closing(connection):
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
    except TimeoutError as failure:
        waited = f"{node.seconds:g} seconds"
        raise ChainUnreachable(f"{node} does not answer within {waited}") from failure
    except http.client.HTTPException as failure:
        raise ChainUnreachable(f"{node} broke off in the middle of an answer") from failure
    except OSError as failure:
        reason = failure.strerror or failure
        raise ChainUnreachable(f"{node} cannot be reached: {reason}") from failure


def _credentials(node: Node) -> str:
    """Return the HTTP credentials, read each time: a node that starts writes a new cookie."""
    try:
        text = node.credentials.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failure:
        raise ChainUnreachable(
            f"{_file(node)} with the password for {node} cannot be read"
        ) from failure
    if ":" not in text or "\n" in text:
        raise ChainUnreachable(f"{_file(node)} is not one line NAME:PASSWORD")
    return base64.b64encode(text.encode()).decode()


def _file(node: Node) -> str:
    return str(node.credentials)
