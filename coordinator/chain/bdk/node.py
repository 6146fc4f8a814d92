"""BDK's own node: it runs in a thread while one question is asked."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import bdkpython as bdk

from coordinator.errors import ChainError, ChainUnreachable

T = TypeVar("T")
Question = Callable[[bdk.CbfClient], Coroutine[Any, Any, T]]


class Listener:
    """Hears what the node says: progress is reported, peers that refuse are counted."""

    def __init__(self, where: str, tries: int | None, report: Callable[[str], None]) -> None:
        """Give up after so many refusals; None waits for other peers."""
        self.where = where
        self._tries = tries
        self._report = report
        self._refused = 0

    def hear(self, message: bdk.Info | bdk.Warning) -> None:
        """Take note of a message; raises where it says that nothing will come of it."""
        if isinstance(message, bdk.Info.PROGRESS):
            share = message.filters_downloaded_percent
            self._report(f"block {message.chain_height}, filters {share:.0f} %")
        if isinstance(message, bdk.Warning.NO_COMPACT_FILTERS):
            raise ChainError(f"{self.where} serves no compact block filters")
        self._refused += isinstance(message, bdk.Warning.COULD_NOT_CONNECT)
        if self._tries is not None and self._refused >= self._tries:
            raise ChainUnreachable(f"{self.where} cannot be reached")


def answered(
    components: bdk.CbfComponents, ask: Question[T], listener: Listener, seconds: float
) -> T:
    """Run the node until the question is answered.

    Raises ChainUnreachable where the node stops, or nothing happens for so many seconds.
    """
    client = components.client
    threading.Thread(target=components.node.run, daemon=True).start()
    try:
        return asyncio.run(_answered(client, ask, listener, seconds))
    except bdk.CbfError as failure:
        raise ChainUnreachable(f"the search among {listener.where} ended early") from failure
    finally:
        with suppress(bdk.CbfError):
            client.shutdown()


async def _answered(
    client: bdk.CbfClient, ask: Question[T], listener: Listener, seconds: float
) -> T:
    answer = asyncio.ensure_future(ask(client))
    again: Sequence[Callable[[], Coroutine[Any, Any, bdk.Info | bdk.Warning]]]
    again = (client.next_info, client.next_warning)
    heard: list[asyncio.Future[Any]] = [asyncio.ensure_future(listen()) for listen in again]
    try:
        while not answer.done():
            done, _ = await asyncio.wait(
                {answer, *heard}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise ChainUnreachable(f"{listener.where} said nothing for {seconds} seconds")
            for place, message in enumerate(heard):
                if message in done:
                    listener.hear(message.result())
                    heard[place] = asyncio.ensure_future(again[place]())
        return answer.result()
    finally:
        for each in (answer, *heard):
            each.cancel()
