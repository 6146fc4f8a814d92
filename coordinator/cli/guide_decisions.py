"""What the guide lets a person decide: whom to ask for the chain, and who may spend later."""

import importlib.util
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from coordinator.cli.prompts import (
    DECISION,
    Choice,
    ask_text,
    choose,
    paragraph,
    refused_by,
    wrong_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.guide.facts import GuideFacts

NODE: Final = "127.0.0.1"
NODE_PORTS: Final = {"mainnet": 8332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
DATA_FOLDERS: Final = ("~/.bitcoin", "~/Library/Application Support/Bitcoin")
NODE_SECONDS: Final = 0.5
NONE: Final = "none:"
LEARNS: Final = "it learns your addresses and how much is there, and nothing that spends"
BDK: Final = "bdkpython"
NOBODY, NET, ONE = "nobody", "net", "one"
WHO: Final = (
    Choice(NOBODY, "Nobody else: whoever settles my affairs uses these cards"),
    Choice(NET, "Two of three people, each with a key of their own"),
    Choice(ONE, "One person alone, with a key of their own"),
)
WAITS: Final = (
    Choice("52560", "About a year of silence: it outlasts an illness"),
    Choice("26280", "About half a year, for an owner who is frail"),
    Choice("65535", "About 15 months: one visit to the cards a year is enough"),
)
WHY_NOBODY: Final = (
    "Any program opens such a vault, and nothing has to be done in time. This suits most people."
)
WHY_NET: Final = (
    "Once the silence is over those people can spend without your cards. To keep it closed you "
    "move the money to the vault itself in time: you are told when. Each person makes a key on a "
    "card of their own, keeps it, never at your home, and proves it once a year."
)
WHY_NOT_ONE: Final = (
    "One person alone is one theft, or one quarrel, away from the money, and nobody would notice. "
    "Two of three is safer."
)
KEY: Final = "That key, as [fingerprint/path]xpub, from the person's own card or program:"


def chosen_chain(network: str) -> str:
    """Ask whom the program asks for the block chain of a network; return the URL."""
    from coordinator.chain.url import CORE, EMBEDDED, OFFLINE, parse_url
    from coordinator.errors import SettingsError
    from coordinator.recovery.steps import SERVERS

    server, own = SERVERS[network], _own_node(network)
    host = parse_url(server).host
    named = f"The server {host}" if host else "A block chain of software, inside this folder"
    choices = [
        *([Choice(own, "Your own node, found on this computer")] if own else []),
        Choice(server, named),
        Choice("", "Another node or server"),
        Choice(NONE, "Nobody: coins come by file"),
    ]
    paragraph(
        "Whom shall this computer ask for the block chain? Your own node tells nobody anything. Of "
        f"a server: {LEARNS}."
    )
    check = refused_by(parse_url, SettingsError)
    while True:
        answer = choose("Whom to ask:", choices, mark=DECISION)
        answer = answer or ask_text("Its URL, as in docs/chain.md:", check=check)
        through_bdk = parse_url(answer).scheme not in {CORE, EMBEDDED, OFFLINE}
        if not through_bdk or importlib.util.find_spec(BDK) is not None:
            return answer
        paragraph(
            "Asking it needs one more package. In another window, then choose again: "
            f"{sys.executable} -m pip install {BDK}"
        )


def _own_node(network: str) -> str | None:
    """Return the URL of a Bitcoin Core that answers here and keeps its cookie at the usual place.

    Nothing is sent to it.
    """
    within = "" if network == "mainnet" else f"{network}/"
    for folder in DATA_FOLDERS:
        cookie = f"{folder}/{within}.cookie"
        if Path(cookie).expanduser().is_file():
            try:
                socket.create_connection((NODE, NODE_PORTS[network]), NODE_SECONDS).close()
            except OSError:
                continue
            return (
                f"bitcoind+http://{NODE}:{NODE_PORTS[network]}?cookie={quote(cookie, safe='~/.')}"
            )
    return None


def later_words(facts: "GuideFacts", words: "Sequence[str]") -> list[str]:
    """Ask who else shall be able to spend; return what that adds to the making of a vault."""
    paragraph("If nobody heard from you for a long time, who else shall be able to spend?")
    who = choose("Who else, after a long silence?", WHO)
    if who == ONE:
        paragraph(WHY_NOT_ONE)
        again = [Choice(NET, "Two of three people"), Choice(ONE, "One person alone, I am sure")]
        who = choose("Which is meant?", again)
    if who == NOBODY:
        paragraph(WHY_NOBODY)
        return []
    paragraph(WHY_NET)
    wait = choose("After how long?", WAITS)
    found = ["--recovery-after", wait, "--recovery-threshold", "2" if who == NET else "1"]
    taken = {words[at + 1] for at, word in enumerate(words) if word == "--card"}
    for number in range(1, 4 if who == NET else 2):
        found += _key_words(facts, number, taken)
    return found


def _key_words(facts: "GuideFacts", number: int, taken: set[str]) -> list[str]:
    """Ask for one person's key: on a card that is enrolled here, or as text."""
    from psbt.errors import PsbtError
    from psbt.keys import parse_key_expression
    from psbt.network import Network

    free = [card.label for card in facts.cards if card.free and card.label not in taken]
    if free:
        choices = [Choice("", "A key as text"), *(Choice(each, f"Card {each}") for each in free)]
        card = choose(f"Key of person {number}?", choices)
        if card:
            taken.add(card)
            return ["--recovery-card", card]
    asked = f"A name for the key of person {number}:"
    label = ask_text(asked, "", lambda text: wrong_name(text, taken))
    taken.add(label)
    network = Network(facts.network or "mainnet")
    check = refused_by(lambda text: parse_key_expression(text, network), PsbtError)
    expression = ask_text(KEY, "", check)
    return ["--recovery-key", f"{label}={expression}"]
