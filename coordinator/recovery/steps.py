"""The second page of a kit: what is needed, and steps that work as they are printed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from coordinator.recovery.letter import number

SERVERS: Final = {
    "mainnet": "electrum+ssl://electrum.blockstream.info:50002",
    "testnet4": "electrum+ssl://mempool.space:40002",
    "signet": "electrum+ssl://mempool.space:60602",
    "regtest": "regtest:",
}
"""Whom to ask for the coins where the home names nobody who can be reached from elsewhere."""
SPARROW: Final = "Sparrow Wallet"


class CardOnPaper(NamedTuple):
    """A card of the vault: its label, who makes it, which programs sign with it, its family.

    `path` is where its key is if not at the usual place.
    """

    label: str
    vendor: str
    programs: Sequence[str] = ()
    family: str = ""
    path: str | None = None

    @property
    def enrolled(self) -> str:
        """Return the command that enrols it with the vault's key."""
        where = f" --path {self.path}" if self.path else ""
        return f"cardquorum card enrol {self.label}{where}"


class Step(NamedTuple):
    """What to do, the commands that do it, a line each, and how it looks when it went well."""

    what: str
    command: str | None
    result: str | None


SPARROW_SCRIPTS: Final = {
    "wsh": "Native Segwit (P2WSH)",
    "sh-wsh": "Nested Segwit (P2SH-P2WSH)",
    "sh": "Legacy (P2SH)",
}
"""What Sparrow calls the scripts that a vault can have."""


class LaterSteps(NamedTuple):
    """A branch that opens later: its name, what it needs, its cards, and since when it is open."""

    name: str
    threshold: int
    cards: Sequence[CardOnPaper]
    keys: Sequence[str]
    wait: str
    since: str | None


@dataclass(frozen=True)
class StepsFacts:
    """What the steps are made of.

    `file` is the kit's file that `recover` reads; a `secret` one is encrypted and opened by a card.
    `chain` is the URL to ask for coins. `wheel` and `wheel_sha256` are of the copy of the program
    beside the kit, where there is one.
    """

    vault: str
    network: str
    threshold: int
    cards: Sequence[CardOnPaper]
    checksum: str
    chain: str
    program: str
    file: str
    secret: bool
    birthday: str | None = None
    wheel: str | None = None
    wheel_sha256: str | None = None
    script: str = "wsh"
    later: Sequence[LaterSteps] = ()


def needed(facts: StepsFacts) -> Iterator[str]:
    """Yield what must lie on the table before the first step."""
    count = number(facts.threshold).capitalize()
    if len(facts.cards) >= facts.threshold:
        yield f"{count} of the cards drawn above, with the note of each card's PIN."
    else:
        drawn = "; a card drawn above is one, with the note of its PIN" if facts.cards else ""
        yield f"{count} of the keys on the next page. Whoever keeps one knows what signs{drawn}."
    if facts.cards:
        yield (
            "A card reader on USB for contactless cards (ISO 14443); cards with a gold chip fit "
            "into a slot, too."
        )
    yield "A computer that you trust, with this paper beside it, and two quiet hours."


def with_program(facts: StepsFacts) -> Iterator[Step]:
    """Yield the steps with this program, from an empty computer to a payment that was seen."""
    yield from _rebuilding(facts)
    yield from _paying(facts)


def _rebuilding(facts: StepsFacts) -> Iterator[Step]:
    vault = facts.vault
    if facts.wheel is not None:
        yield Step(
            f"Install the program from the file beside this kit (SHA-256 {facts.wheel_sha256}).",
            f"pipx install './{facts.wheel}[pcsc,bdk]'",
            f"cardquorum --version says {facts.program.removeprefix('cardquorum ')}.",
        )
    else:
        yield Step(
            f"Install {facts.program} or later from a source that your helper trusts. Ask it which "
            "it is:",
            "cardquorum --version",
            None,
        )
    yield Step(
        "The program can lead you from here, one question at a time. By hand it goes like this:",
        "cardquorum guide",
        "It asks why you are here. You may stop at any question.",
    )
    yield Step(
        "Make an empty folder for it. The server named here sees your addresses; your own node may "
        "stand there.",
        f"cardquorum init --network {facts.network} --chain '{facts.chain}'",
        "It names the folder.",
    )
    yield _enrolling(facts)
    birthday = f" --birthday {facts.birthday}" if facts.birthday else ""
    key, ask = "", ""
    if facts.secret and not facts.cards:
        key, ask = " --key XPUB", " XPUB is the public half of a key: ask whoever keeps one."
    yield Step(
        "Rebuild the vault from the kit's file; or put - in its place and type the numbered lines "
        "of this paper.",
        f"cardquorum recover {facts.file} --name {vault} --checksum {facts.checksum}{birthday}"
        f"{key}",
        f"It says version {facts.checksum}, as on every page below. If it differs, stop.{ask}",
    )
    yield Step(
        "Look for the money. It may take hours and be cut off; the next time it goes on.",
        f"cardquorum sync {vault}",
        "It says an amount and from which day it was looked for. No money yet: call before you "
        "go on.",
    )
    if not facts.cards:
        yield Step(
            "Look at the first address, and have whoever keeps a key compare it with their own.",
            f"cardquorum vault show {vault}",
            "It is the same everywhere. If it differs, stop.",
        )
        return
    yield Step(
        "Let each card prove that it belongs. One card can prove, but it cannot pay.",
        f"cardquorum vault verify {vault}",
        "It names each key that was proved. For another card, ask the people on page one.",
    )


def _enrolling(facts: StepsFacts) -> Step:
    """Return the step that makes the cards known: each that is at hand, under its own name."""
    if not facts.cards:
        return Step("No card is known to this paper: the next step needs none.", None, None)
    return Step(
        "Lay each card you have on the reader, with its own name in the command. Type each PIN "
        "once.",
        "\n".join(card.enrolled for card in facts.cards[: facts.threshold]),
        "It names the card. After one wrong PIN, stop and call.",
    )


def _signing(cards: Sequence[CardOnPaper], threshold: int) -> Step:
    """Return the step that signs a payment and sends it; with too few cards others sign, too."""
    enough = len(cards) >= threshold
    by_card = ["cardquorum spend sign ID"] if cards else []
    elsewhere = ["cardquorum spend export ID --out FILE", "cardquorum spend add ID FILE"]
    others = "have whoever keeps the other keys sign FILE, and take it back"
    told = "Have the cards sign it, one after the other, and send it."
    if not enough:
        told = (
            f"Have the cards sign it; {others}. Send it."
            if cards
            else (f"{others[:1].upper()}{others[1:]}. Send it.")
        )
    commands = [*by_card, *([] if enough else elsewhere)]
    sending = ["cardquorum spend finalize ID", "cardquorum spend broadcast ID"]
    return Step(told, "\n".join([*commands, *sending]), "It names the transaction.")


def _paying(facts: StepsFacts) -> Iterator[Step]:
    vault = facts.vault
    yield Step(
        "Build a small payment to an address of yours. Compare the address sign by sign.",
        f"cardquorum spend create {vault} --to ADDRESS:10000sat --target 6",
        "It shows what is paid, and the payment's ID.",
    )
    signing = _signing(facts.cards, facts.threshold)
    yield signing._replace(result="It names the transaction. Wait until it has arrived.")
    yield Step(
        "Build the payment of all the rest. Sign it and send it as in step 9.",
        f"cardquorum spend create {vault} --drain ADDRESS --target 6",
        "It shows all that is left, and an ID of its own.",
    )


def with_later_keys(facts: StepsFacts, later: LaterSteps) -> Iterator[Step]:
    """Yield the steps with the keys of a branch that has opened, from a vault that was rebuilt."""
    vault = facts.vault
    laid = " In step 4 lay these cards on the reader, with their PINs." if later.cards else ""
    yield Step(
        f"Do steps 1 to 6 of page two.{laid}",
        "\n".join(card.enrolled for card in later.cards[: later.threshold]) or None,
        "The vault is there, and its money was looked for.",
    )
    since = f"; for its oldest coin that is {later.since}" if later.since else ""
    yield Step(
        f"This opens {later.wait}{since}. See whether a coin is old enough.",
        f"cardquorum coins {vault}",
        f"Its column {later.name} says open now, or from which day on.",
    )
    yield Step(
        f"Build the payment of all that is open to an address of yours. It takes {later.threshold} "
        f"of {', '.join(later.keys)}.",
        f"cardquorum spend recover {vault} --branch {later.name} --to ADDRESS --target 6",
        "It shows what is paid, the payment's ID, and what opens when.",
    )
    yield _signing(later.cards, later.threshold)


def signing_programs(facts: StepsFacts) -> str:
    """Say which programs besides this one sign with each card."""
    told = (
        f"card {card.label}: {', '.join(card.programs) or 'no other that is known'}"
        for card in facts.cards
    )
    return f"Programs that sign, too: {'; '.join(told)}." if facts.cards else ""


def with_sparrow(facts: StepsFacts) -> Iterator[Step]:
    """Yield the steps with Sparrow Wallet, for the cards that it signs with."""
    if facts.later:
        yield Step(
            "Sparrow does not open this vault: it knows no keys that may spend later.",
            None,
            "Use the steps above." if facts.secret else "Use the steps above, or Bitcoin Core.",
        )
        return
    if facts.script == "tr":
        yield Step(
            "Sparrow does not open this vault: it knows no quorum in taproot.",
            None,
            "Use the steps above. Bitcoin Core shows the money, and signs with the secret words.",
        )
        return
    if not facts.cards:
        yield Step(
            "Sparrow (sparrowwallet.com) shows the money, and pays where it has the keys.",
            None,
            "Ask whoever keeps them.",
        )
        return
    able = [card.label for card in facts.cards if SPARROW in card.programs]
    if len(able) < facts.threshold:
        told = f"card {' and '.join(able)} alone" if able else "none of these cards"
        yield Step(
            f"Sparrow (sparrowwallet.com) shows the money but cannot pay: it signs with {told}.",
            None,
            "Use the steps above to pay.",
        )
        return
    source = (
        f"the line that cardquorum vault export {facts.vault} prints"
        if facts.secret
        else f"the text of {facts.file}"
    )
    quorum = f"{facts.threshold} of {len(facts.cards)}"
    yield Step(
        f"Choose network {facts.network}, a server, New Wallet; there Multi Signature, "
        f"{quorum}, {SPARROW_SCRIPTS[facts.script]}.",
        None,
        "It asks for as many keystores.",
    )
    yield Step(
        f"Press Edit beside the descriptor and put in {source}. Press Apply.",
        None,
        "Receive shows the first address of this vault.",
    )
    yield Step(
        f"Send: a small payment first. Sign with card {' and '.join(able)}, then Broadcast.",
        None,
        "Wait until it arrived. Then send the rest.",
    )
