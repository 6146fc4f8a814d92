"""open: the local page, for people who do not live in a terminal."""

from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Final

import typer

from coordinator.cli.context import Context
from coordinator.cli.result import Result

SURFACE: Final = "coordinator.web.serving"
"""The other surface is found by its name: neither imports the other."""
NEEDED: Final = ("starlette", "uvicorn", "jinja2")
INSTALL: Final = "the page needs what is not installed ({0}): pip install 'cardquorum[page]'"


def open_page(
    context: Context,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="the port; a free one without it")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="only print the link, open nothing")
    ] = False,
) -> Result:
    """Show everything on a page of this computer, in the browser.

    Nobody else can see it. The link that is printed opens it once, within a minute. It runs until
    Ctrl-C; called again meanwhile, it prints another link. Secret words and PUKs are typed in the
    terminal only. In a sealed home the passphrase is asked for here.

    \b
    Example: cardquorum open
    """
    from coordinator.cli import terminal
    from coordinator.cli.failures import explain
    from coordinator.cli.output import as_text
    from coordinator.errors import UsageError

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(INSTALL.format(", ".join(missing)))
    _ = context.book  # where a passphrase is wanted it is asked for before anything is served

    def announce(url: str) -> None:
        terminal.put_document(as_text({"url": url}) if context.as_json else f"{url}\n")
        context.say("the page is open until Ctrl-C; keep the link to yourself")

    serving = import_module(SURFACE)
    serving.serve(context, explain, announce, port=port, browser=not no_browser)
    return Result({}, shown=False)


COMMANDS = {"": {"open": open_page}}
