"""Asking the daemon, and what a real node answered to the same."""

import base64
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.patience import SECONDS
from tests.servers.daemon import Daemon

TRANSCRIPT = Path(__file__).parents[2].parent / "shared" / "core-rpc" / "transcript.json"
Document = Any


def post(
    daemon: Daemon, body: object, path: str = "/", login: str | None = None
) -> tuple[int, Document]:
    connection = HTTPConnection("127.0.0.1", int(daemon.url.rpartition(":")[2]), timeout=SECONDS)
    credentials = login if login is not None else daemon.cookie.read_text()
    token = base64.b64encode(credentials.encode()).decode()
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request("POST", path, sent, {"Authorization": f"Basic {token}"})
        answer = connection.getresponse()
        text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text
    finally:
        connection.close()


def ask(daemon: Daemon, method: str, *params: object, path: str = "/") -> Document:
    """Return the result, or the error."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    status, document = post(daemon, request, path)
    assert (status, document["id"], document["jsonrpc"]) == (200, 1, "2.0")
    return document["result"] if "result" in document else document["error"]


def recorded(method: str, which: int = 0) -> Document:
    """Return what a real node answered to its calls of this name."""
    if not TRANSCRIPT.exists():
        pytest.skip("the recorded transcript is not here")
    exchanges = json.loads(TRANSCRIPT.read_text())["exchanges"]
    answers = [item["response"] for item in exchanges if item["method"] == method]
    return answers[which].get("result", answers[which].get("error"))


def keys(document: Document) -> Document:
    """Reduce a document to its keys, at every depth; of a list, the first item."""
    if isinstance(document, dict):
        return {name: keys(value) for name, value in document.items()}
    if isinstance(document, list):
        return [keys(item) for item in document[:1]]
    return type(document).__name__ if isinstance(document, str | bool) else None
