"""BDK's own node: it runs in a thread while one question is asked."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import bdkpython as bdk

from coordinator.errors import ChainUnreachable

EVERY_RUN = (bdk.Warning.NEED_CONNECTIONS,)
T = TypeVar("T")
Question = Callable[[bdk.CbfClient], Coroutine[Any, Any, T]]


class ForkTooDeep(ChainUnreachable):
    """The peer's chain does not join the wallet's where it was looked for."""


class Listener:
    """Hears what the node says: progress is reported, the last complaint kept.

    BDK's node ends without a reason; the reason is the last thing it complained of.
    """

    def __init__(self, where: str, report: Callable[[str], None]) -> None:
        self.where = where
        self._report = report
        self._complaint: bdk.Warning | None = None

    def hear(self, message: bdk.Info | bdk.Warning) -> None:
        """Take note of a message; raises where it says that nothing will come of it."""
        if isinstance(message, bdk.Info.PROGRESS):
            share = message.filters_downloaded_percent
            self._report(f"block {message.chain_height}, filters {share:.0f} %")
        if isinstance(message, bdk.Warning.NO_COMPACT_FILTERS):
            raise ChainUnreachable(f"{self.where} serves no compact block filters")
        if isinstance(message, bdk.Warning) and not isinstance(message, EVERY_RUN):
            self._complaint = message

    def done(self) -> None:
        """Report that there is nothing more to come."""
        self._report("")

    def ending(self) -> ChainUnreachable:
        """Return why the node ended, as far as it said."""
        complaint = self._complaint
        if isinstance(complaint, bdk.Warning.UNEXPECTED_SYNC_ERROR):
            return ForkTooDeep(f"{self.where} sent what does not fit: {complaint.warning}")
        if isinstance(complaint, bdk.Warning.PEER_TIMED_OUT):
            return ChainUnreachable(f"{self.where} does not answer in time")
        if isinstance(complaint, bdk.Warning.COULD_NOT_CONNECT):
            return ChainUnreachable(f"{self.where} cannot be reached")
        return ChainUnreachable(f"{self.where} closed the connection")


def answered(
    components: bdk.CbfComponents, ask: Question[T], listener: Listener, *, seconds: float
) -> T:
    """Run the node until the question is answered.

    Raises ChainUnreachable where the node stops, or nothing happens for so many seconds.
    """
    client = components.client
    components.node.run()
    try:
        return asyncio.run(_answered(client, ask, listener, seconds=seconds))
    except bdk.CbfError as failure:
        raise listener.ending() from failure
    finally:
        listener.done()
        with suppress(bdk.CbfError):
            client.shutdown()


async def _answered(
    client: bdk.CbfClient, ask: Question[T], listener: Listener, *, seconds: float
) -> T:
    answer = asyncio.ensure_future(ask(client))
    again: Sequence[Callable[[], Coroutine[Any, Any, bdk.Info | bdk.Warning]]]
    again = (client.next_info, client.next_warning)
    heard: list[asyncio.Future[Any]] = [asyncio.ensure_future(listen()) for listen in again]
    try:
        while not answer.done():
            done, _ = await asyncio.wait(
                {answer, *(each for each in heard if not each.done())},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                raise ChainUnreachable(f"{listener.where} said nothing for {seconds:g} seconds")
            for place, message in enumerate(heard):
                if message.done() and message.exception() is None:
                    listener.hear(message.result())
                    heard[place] = asyncio.ensure_future(again[place]())
        if answer.exception() is not None:
            # The warnings that are left end with the node.
            with suppress(bdk.CbfError, TimeoutError):
                while True:
                    listener.hear(await asyncio.wait_for(heard[1], 0.05))
                    heard[1] = asyncio.ensure_future(client.next_warning())
        return answer.result()
    finally:
        for each in (answer, *heard):
            each.cancel()
        await asyncio.gather(answer, *heard, return_exceptions=True)
