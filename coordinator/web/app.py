"""The page as an ASGI application: visits in, answers out, and the few paths that are no page."""

import hmac
import json
import logging
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote

from jinja2 import TemplateError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route as Served
from starlette.types import ASGIApp

from coordinator.errors import CoordinatorError, NotAccepted, UsageError
from coordinator.home.settings import OFFLINE, default_folder
from coordinator.interop import qr_pictures
from coordinator.web import answers, command_links, pages
from coordinator.web.access import WINDOWS_MAX, FormUsed, TooMany, Window, new_form, use_form
from coordinator.web.answers import Answers
from coordinator.web.context import (
    FORM,
    Answer,
    Context,
    Handler,
    HomeReplaced,
    Moved,
    Page,
    Sent,
    Shown,
    Visit,
)
from coordinator.web.pages import exchange
from coordinator.web.rendering import rendered
from coordinator.web.request_checks import BODY_MAX, ENTER, LINK, WAIT, Gate, cookie_name
from coordinator.web.uploads import FILE_MAX
from storage import sealing
from storage.database import is_read_only
from storage.errors import StorageError

log = logging.getLogger(__name__)
FIELDS_MAX: Final = 200
FRAME_MAX: Final = 1_500_000
CAMERA: Final = "the camera's picture"
MEDIA: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
ENTERED: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>cardquorum</title>'
    '<link rel="icon" href="data:,">'
    '<meta http-equiv="refresh" content="0; url={0}"><p>{1}</p></html>'
)


def application(context: Context, port: int, key: str) -> ASGIApp:
    """Return the page that is served at a port; who has the `key` may ask for another link."""
    page = _Served(context, port, key)
    routes = [
        Served(ENTER + "{link}", page.enter),
        Served(WAIT, page.wait),
        Served(LINK, page.link, methods=["POST"]),
        Served("/events", page.events),
        Served("/pulse", page.pulse),
        Served("/static/{name}", page.static),
        Served("/frame", page.frame, methods=["POST"]),
        Served("/whole", page.whole, methods=["POST"]),
        Served(answers.PATH + "{number}", page.answered),
        *(
            Served(route.path, page.endpoint(shown, route.show, route.take), methods=methods)
            for shown in pages.PAGES
            for route in shown.routes
            for methods in [_methods(route.show, route.take)]
        ),
        Served("/{anything:path}", page.endpoint(None, _nowhere, None)),
    ]
    return Gate(Starlette(routes=routes), context.windows, port)


def _methods(show: Handler | None, take: Handler | None) -> list[str]:
    return [*(["GET"] if show else []), *(["POST"] if take else [])]


def _nowhere(_visit: Visit) -> Answer:
    return Shown("nowhere.html", {}, 404)


class _Served:
    """The endpoints."""

    def __init__(self, context: Context, port: int, key: str) -> None:
        self._context = context
        self._cookie = cookie_name(port)
        self._key = key
        self._answers = Answers()

    def endpoint(
        self, page: Page | None, show: Handler | None, take: Handler | None
    ) -> Callable[[Request], object]:
        """Return what serves a route."""

        async def serve(request: Request) -> Response:
            form = await _form(request) if request.method == "POST" else {}
            handler = take if request.method == "POST" else show
            visit = self._visit(request, request.url.path, form)
            return await run_in_threadpool(self._answered, visit, page, handler)

        return serve

    async def answered(self, request: Request) -> Response:
        """Show once more what was answered to a form."""
        kept = self._answers.of(request.state.window, request.path_params["number"])
        at, page = (request.url.path, None) if kept is None else (kept.at, kept.page)
        shown = _nowhere if kept is None else lambda _: kept.shown
        visit = self._visit(request, at, {})
        return await run_in_threadpool(self._answered, visit, page, shown)

    def _visit(self, request: Request, at: str, form: dict[str, str]) -> Visit:
        path, query = dict(request.path_params), dict(request.query_params)
        numbers, posted = self._context.bulletin.numbers(), request.method == "POST"
        window = request.state.window
        return Visit(self._context, window, at, path, query, form, numbers, posted)

    def _answered(self, visit: Visit, page: Page | None, handler: Handler | None) -> Response:
        """Have a handler answer a visit; whatever is raised there is said on a page."""
        try:
            self._context.require_same_home()
            return self._response(self._answer(visit, handler), visit, page)
        except HomeReplaced as replaced:
            failure = self._context.explain(replaced)
            said = {"message": failure.message, "hint": failure.hint}
            return HTMLResponse(rendered("broken.html", said), 500)
        except Exception as error:  # noqa: BLE001 -- the page's entry
            return self._failed(error, visit, page)

    def _answer(self, visit: Visit, handler: Handler | None) -> Answer:
        try:
            token = visit.form.get(FORM, "")
            if visit.posted and not use_form(visit.window, token):
                return Shown("form_old.html", {}, 403)
        except FormUsed:
            return Shown("form_used.html", {}, 409)
        try:
            return _nowhere(visit) if handler is None else handler(visit)
        except NotAccepted as refused:
            if not visit.posted or not refused.codes:
                raise
            said = {"dangers": refused.dangers, "carried": visit.carried}
            return Shown("dangers.html", said, 409)

    def _failed(self, error: Exception, visit: Visit, page: Page | None) -> Response:
        """Say on a page what was raised, as far as a page can still be shown."""
        log.debug("%s", visit.at, exc_info=error)
        failure = self._context.explain(error)
        try:
            return self._response(Shown("failed.html", {"failure": failure}, 400), visit, page)
        except (StorageError, CoordinatorError, OSError, TemplateError):
            # The frame itself cannot be shown: the home is gone, or damaged.
            log.debug("%s", visit.at, exc_info=True)
            said = {"message": failure.message, "hint": failure.hint}
            return HTMLResponse(rendered("broken.html", said), 500)

    def _response(self, answer: Answer, visit: Visit, page: Page | None) -> Response:
        if visit.posted and isinstance(answer, Shown):
            answer = Moved(self._answers.keep(visit.window, answer, at=visit.at, page=page))
        if isinstance(answer, Moved):
            return Response(None, 303, {"location": quote(answer.path, safe="/?=&:%#")})
        if isinstance(answer, Sent):
            attached = f"attachment; filename*=UTF-8''{quote(answer.name, safe='')}"
            return Response(
                answer.data,
                media_type=answer.media_type,
                headers={"content-disposition": attached},
            )
        said = {**common(visit, page), **answer.said}
        return HTMLResponse(rendered(answer.template, said, visit.query.get("part")), answer.status)

    async def enter(self, request: Request) -> Response:
        """Use a link up: the browser gets its cookie, and goes on to the page."""
        try:
            entered = self._context.windows.enter(request.path_params["link"])
        except TooMany:
            return HTMLResponse(rendered("windows_full.html", {"most": WINDOWS_MAX}), 403)
        if entered is None:
            return HTMLResponse(rendered("link_used.html", {}), 403)
        self._context.bulletin.post("window")
        number = entered.number
        told = "One moment." if number is None else f"Ask at the first window: {number}"
        answer = HTMLResponse(ENTERED.format("/" if number is None else WAIT, told))
        answer.set_cookie(self._cookie, entered.cookie, httponly=True, samesite="strict", path="/")
        return answer

    async def wait(self, request: Request) -> Response:
        """Show a caller the number that the first window is asked about."""
        if request.state.window is not None:
            return HTMLResponse(ENTERED.format("/", "One moment."))
        caller = self._context.windows.caller(request.state.cookie)
        if caller is None:
            return HTMLResponse(rendered("link_used.html", {}), 403)
        return HTMLResponse(rendered("waiting.html", {"number": caller.number}))

    async def link(self, request: Request) -> Response:
        """Give another link to the program itself, which knows the key from its home."""
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._key}".encode()):
            return Response(None, 403)
        return JSONResponse({"link": self._context.windows.new_link()})

    async def events(self, request: Request) -> Response:
        """Send ids of what changed; of one window one stream at a time, the others poll."""
        window: Window = request.state.window
        if window.streams:
            return Response(None, 204)
        window.streams += 1
        return StreamingResponse(self._stream(request, window), media_type="text/event-stream")

    async def _stream(self, request: Request, window: Window) -> AsyncIterator[str]:
        windows, cookie = self._context.windows, request.state.cookie

        def is_open() -> bool:
            return windows.window(cookie, used=False) is not None

        try:
            async for each in self._context.bulletin.stream(is_open):
                yield each
        finally:
            window.streams -= 1

    async def pulse(self, _request: Request) -> Response:
        """Return the numbers of what changed, for who has no stream."""
        return JSONResponse(self._context.bulletin.numbers())

    async def frame(self, request: Request) -> Response:
        """Return the texts of the codes in a picture of the camera; nothing of it is kept."""
        picture = await _body(request, FRAME_MAX)

        def read() -> Response:
            try:
                return JSONResponse({"texts": qr_pictures.codes(picture, CAMERA), "said": None})
            except UsageError as failure:
                return JSONResponse({"texts": [], "said": str(failure)})

        return await run_in_threadpool(read)

    async def whole(self, request: Request) -> Response:
        """Say which codes are missing of those that the camera read so far."""
        lines = (await _body(request, FRAME_MAX)).decode("utf-8", "replace")
        return JSONResponse({"missing": await run_in_threadpool(exchange.missing, lines)})

    async def static(self, request: Request) -> Response:
        """Return the stylesheet or the script."""
        name = request.path_params["name"]
        kind = MEDIA.get(name.rpartition(".")[2])
        files = {
            each.name: each for each in (resources.files("coordinator.web") / "static").iterdir()
        }
        if kind is None or name not in files:
            return Response(None, 404)
        return Response(files[name].read_bytes(), media_type=kind)


async def _form(request: Request) -> dict[str, str]:
    """Read a form that was sent, at most so much of it."""
    body = await _body(request, BODY_MAX)
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        return {}
    return {name: value for name, value in fields if _is_text(value)}


async def _body(request: Request, most: int) -> bytes:
    """Read what was sent; nothing where it is more than that."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return b""
    return bytes(body)


def _is_text(value: str) -> bool:
    return value.isascii() or value.encode("utf-8", "replace").decode() == value


def of_home(folder: Path) -> str:
    """Return what a command line ends with in a home that is not the usual one."""
    usual = default_folder().absolute() == folder.absolute()
    return "" if usual else f" --home {shlex.quote(str(folder.absolute()))}"


def common(visit: Visit, page: Page | None) -> Mapping[str, object]:
    """Return what the frame of every page shows."""
    context = visit.context
    home = context.home
    with context.reading.begin() as db:
        sealed = sealing.is_locked(db)
    return {
        "pages": [each for each in pages.PAGES if each.name],
        "here": page,
        "at": visit.at,
        "mistake": None,
        "new_form": lambda: new_form(visit.window),
        "of_home": of_home(home.folder),
        "network": home.network,
        "practice": home.network != "mainnet",
        "offline": home.chain == OFFLINE,
        "read_only": is_read_only(context.database),
        "sealed": sealed,
        "callers": context.windows.callers(),
        "task": context.tasks.running,
        "way": lambda step: command_links.way(pages.PAGES, step),
        "remedy": lambda text: command_links.remedy(pages.PAGES, text),
        "pay_path": next((each.path for each in pages.PAGES if each.name == "Pay"), None),
        "file_max": FILE_MAX,
        "unreachable": None,
        "numbers": json.dumps(visit.numbers),
    }
