"""Several cards sign one PSBT at once: a thread for each, every answer verified, then kept."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import NamedTuple

from cards.errors import CardError, ProtocolError, WrongCard
from cards.pin import Pin
from cards.session import BatchSigner, CardIdentity, CardSession
from coordinator.attendant import Attendant
from coordinator.errors import CoordinatorError
from coordinator.slots import Company, Slot, ask_pin, card_in
from psbt.errors import PsbtError, SignatureInvalid
from psbt.signer import SigningRequest, signature_valid


class Seat(NamedTuple):
    """A card that has a part in this ceremony, and what its key has yet to sign."""

    label: str
    card_id: int
    requests: Sequence[SigningRequest]


class Outcome(NamedTuple):
    """What came of one card that was offered; `error` is None where it signed all it was asked."""

    label: str
    family: str | None
    signatures: int
    seconds: float
    error: CardError | CoordinatorError | PsbtError | None


Keep = Callable[[Seat, SigningRequest, bytes], None]
SeatOf = Callable[[CardIdentity], Seat | None]


@dataclass(frozen=True)
class Table:
    """Who may sit down (by identity), where signatures are kept, and who the person is."""

    seat_of: SeatOf
    keep: Keep
    attendant: Attendant
    last_attempt: bool = False


class Ready(NamedTuple):
    """A card that was identified and whose PIN is at hand."""

    session: CardSession
    identity: CardIdentity
    seat: Seat
    pin: Pin


def collect(offered: Sequence[Slot], table: Table) -> list[Outcome]:
    """Let every offered card sign what it can; one that fails does not stop the others.

    Cards are identified first and PINs asked for one by one; then all sign at the same time.
    """
    with ExitStack() as stack:
        asked: set[tuple[int, bytes]] = set()
        seated = [_sit_down(slot, table, stack, asked) for slot in offered]
        ready = [each for each in seated if isinstance(each, Ready)]
        keep = replace(table, keep=_one_at_a_time(table.keep))
        with ThreadPoolExecutor(max_workers=max(1, len(ready))) as threads:
            signed = iter(list(threads.map(lambda each: _sign(each, keep), ready)))
        return [next(signed) if isinstance(each, Ready) else each for each in seated]


def _sit_down(
    slot: Slot, table: Table, stack: ExitStack, asked: set[tuple[int, bytes]]
) -> Ready | Outcome:
    """Identify the card in a slot and ask for its PIN; a stranger is never asked for one.

    What a card that sits down is `asked`, a second carrier of its key is not.
    """
    name, family = slot.name, None
    try:
        company = Company(table.attendant, name)
        session = stack.enter_context(card_in(slot, company))
        identity = session.identity()
        family = identity.family
        seat = table.seat_of(identity)
        if seat is None:
            raise WrongCard("a card of this vault", f"{family} {identity.card_id[:16]}")
        name = company.label = seat.label
        wanted = [r for r in seat.requests if (r.input_index, r.pubkey) not in asked]
        if not wanted:
            return Outcome(name, family, 0, 0.0, None)
        pin = ask_pin(session, name, table.attendant, last_attempt=table.last_attempt)
        stack.enter_context(pin)
    except (CardError, CoordinatorError) as failure:
        return Outcome(name, family, 0, 0.0, failure)
    asked.update((request.input_index, request.pubkey) for request in wanted)
    return Ready(session, identity, seat._replace(requests=wanted), pin)


def _sign(ready: Ready, table: Table) -> Outcome:
    """Unlock one card and put every request to it; what was signed before a failure is kept."""
    started, done, error = time.monotonic(), 0, None
    try:
        ready.session.unlock(ready.pin)
        for request, signature in _answers(ready.session, ready.seat.requests):
            if not signature_valid(request, signature):
                raise SignatureInvalid(request.input_index, request.pubkey)
            table.keep(ready.seat, request, signature)
            done += 1
            table.attendant.progress(ready.seat.label, done, len(ready.seat.requests))
    except (CardError, PsbtError) as failure:
        error = failure
    seconds = round(time.monotonic() - started, 3)
    return Outcome(ready.seat.label, ready.identity.family, done, seconds, error)


def _answers(
    session: CardSession, requests: Iterable[SigningRequest]
) -> Iterator[tuple[SigningRequest, bytes]]:
    """Put the requests to a card, those of one key in a row: it then derives that key once.

    A card that can signs all digests of one key in one command. Nothing is believed here yet.
    """
    ordered = sorted(requests, key=lambda request: (request.path, request.input_index))
    for path, group in itertools.groupby(ordered, key=lambda request: request.path):
        asked = list(group)
        if isinstance(session, BatchSigner) and len(asked) > 1:
            given = session.sign_batch(path, [request.digest for request in asked])
            if len(given) != len(asked):
                raise ProtocolError(f"the card gave {len(given)} signatures for {len(asked)}")
            yield from zip(asked, given, strict=True)
        else:
            yield from ((request, session.sign(path, request.digest)) for request in asked)


def _one_at_a_time(keep: Keep) -> Keep:
    lock = threading.Lock()

    def locked(seat: Seat, request: SigningRequest, signature: bytes) -> None:
        with lock:
            keep(seat, request, signature)

    return locked
