"""JSON-RPC as Bitcoin Core speaks it: 2.0 and 1.x, single requests and batches."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

VERSION_2 = "2.0"
MISC_ERROR = -1
INVALID_ADDRESS_OR_KEY = -5
INVALID_PARAMETER = -8
WARMING_UP = -28
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
PARSE_ERROR = -32700
STATUS = {INVALID_REQUEST: 400, METHOD_NOT_FOUND: 404}
"""What a 1.x error is sent with; any other with 500."""

Params = list[object] | dict[str, object]
Ask = Callable[[str, Params], object]
Call = Callable[..., object]


class RpcError(Exception):
    """An error that is answered."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Reply(NamedTuple):
    """What goes back: a status and a document, or nothing at all."""

    status: int
    document: object = None


def reply(body: bytes, ask: Ask) -> Reply:
    """Answer the body of a request."""
    try:
        request = json.loads(body)
    except ValueError:
        return _failed({}, RpcError(PARSE_ERROR, "Parse error"))
    if isinstance(request, list):
        replies = [_reply_to(item, ask).document for item in request]
        return Reply(200, [document for document in replies if document is not None])
    if not isinstance(request, dict):
        return _failed({}, RpcError(PARSE_ERROR, "Top-level object parse error"))
    return _reply_to(request, ask)


signature_of = functools.cache(inspect.signature)


def call(function: Call, subjects: tuple[object, ...], params: Params) -> object:
    """Call a function with parameters by position or by name; null is a parameter left out."""
    signature = signature_of(function)
    given = params if isinstance(params, dict) else {}
    for name in given:
        if name not in signature.parameters:
            raise RpcError(INVALID_PARAMETER, f"Unknown named parameter {name}")
    try:
        bound = signature.bind(*subjects, *([] if given else params), **given)
    except TypeError as failure:
        raise RpcError(MISC_ERROR, f"{function.__name__}: {failure}") from failure
    known = {name: value for name, value in bound.arguments.items() if value is not None}
    try:
        return function(**known)
    except TypeError as failure:
        if failure.__traceback__ is None or failure.__traceback__.tb_next is not None:
            raise
        raise RpcError(MISC_ERROR, f"{function.__name__}: {failure}") from failure


def _reply_to(request: object, ask: Ask) -> Reply:
    if not isinstance(request, dict):
        return _failed({}, RpcError(INVALID_REQUEST, "Invalid Request object"))
    try:
        result = ask(*_asked(request))
    except RpcError as error:
        return _failed(request, error)
    if request.get("jsonrpc") == VERSION_2:
        if "id" not in request:
            return Reply(204)
        return Reply(200, {"jsonrpc": VERSION_2, "result": result, "id": request["id"]})
    return Reply(200, {"result": result, "error": None, "id": request.get("id")})


def _asked(request: Mapping[str, object]) -> tuple[str, Params]:
    method, params = request.get("method"), request.get("params") or []
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "Method must be a string")
    if not isinstance(params, list | dict):
        raise RpcError(INVALID_REQUEST, "Params must be an array or object")
    return method, params


def _failed(request: Mapping[str, object], error: RpcError) -> Reply:
    told = {"code": error.code, "message": error.message}
    if request.get("jsonrpc") == VERSION_2:
        if "id" not in request:
            return Reply(204)
        return Reply(200, {"jsonrpc": VERSION_2, "error": told, "id": request["id"]})
    document = {"result": None, "error": told, "id": request.get("id")}
    return Reply(STATUS.get(error.code, 500), document)
