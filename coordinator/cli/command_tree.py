"""The nouns of the command line: which module holds them, and their line of help."""

from collections.abc import Collection, Sequence
from importlib import import_module
from typing import Final

import typer

from coordinator.cli.options import add_command, group

GROUPS = {
    "reader": ("reader", "What lies on the card readers."),
    "card": ("card", "Set up, enrol, check and look after cards."),
    "vault": ("vault", "Make, prove, carry and list vaults."),
    "key": ("key", "Keys held elsewhere, and a card's key for other coordinators."),
    "address": ("address", "Receive: new addresses, and whether one is ours."),
    "coin": ("coin", "Coins: freeze and thaw them, carry them by file."),
    "label": ("coin", "What coins, payments, addresses and keys are called."),
    "spend": ("spend", "Pay: create, sign card by card, finalize, broadcast."),
    "tx": ("spend_files", "Send a transaction that was finished elsewhere."),
    "location": ("custody", "Places: what kind, whose, how fast to reach."),
    "drill": ("drill", "Have every key proved where its card lies."),
    "holder": ("custody", "People who can open a place."),
    "carrier": ("carrier", "Plates, words and backups that bring a key back."),
    "copy": ("carrier", "Copies of a vault's descriptor, and the version each holds."),
    "secret": ("carrier", "Who knows a PIN, PUK or pairing password; never its value."),
    "custody": ("custody", "The custody book: what happened to each thing."),
    "replace": ("replace", "Put a new card and vault in the place of one that is gone."),
    "operator": ("operator", "Who works in this database: names, and keys that people compared."),
    "database": ("home", "A home's memory on a server that several share."),
    "emulate": ("emulate", "Make cards of software, for trying and testing."),
    "regtest": ("regtest", "Mine and fund on the embedded regtest chain."),
}


VERBS: Final = {
    **dict.fromkeys(("init", "status", "backup", "restore"), "home"),
    "guide": "guide",
    "open": "page",
    "demo": "demo",
    **dict.fromkeys(("sync", "balance", "coins", "history", "fees"), "wallet"),
    "audit": "audit",
    **dict.fromkeys(("kit", "recover"), "kit"),
    "completion": "manual",
}
"""The commands without a noun, and the module each stands in."""
HELP: Final = frozenset({"-h", "--help"})
WHOLE: Final = (*GROUPS, "--help")
"""Words with which every noun is filled, and every verb without one told of."""


def path_of(words: Sequence[str]) -> list[str]:
    """Return the noun and the verb among words, as far as both are there; options are none."""
    found: list[str] = []
    known: Collection[str] = (*GROUPS, *VERBS)
    for word in words:
        if word in known and word not in found:
            found.append(word)
            if len(found) > 1 or word not in GROUPS:
                break
            known = import_module(f"coordinator.cli.{GROUPS[word][0]}").COMMANDS[word]
    return found


def attach(app: typer.Typer, words: Collection[str]) -> None:
    """Hang every noun and verb into the program; only those among the words get their options.

    Building all fifty commands takes longer than everything else `--help` does. What a verb does is
    told where it may be read.
    """
    known = VERBS.keys() | GROUPS.keys()
    told = known.isdisjoint(words) or not HELP.isdisjoint(words)
    for name, module_name in VERBS.items():
        if told or name in words:
            verb = import_module(f"coordinator.cli.{module_name}").COMMANDS[""][name]
        if name in words:
            add_command(app, name, verb)
        else:
            app.command(name, help=verb.__doc__ if told else None)(_only_listed)
    for noun, (module_name, help_line) in GROUPS.items():
        commands = group(help_line)
        if noun in words:
            held = import_module(f"coordinator.cli.{module_name}")
            for name, verb in held.COMMANDS[noun].items():
                add_command(commands, name, verb)
        app.add_typer(commands, name=noun)


def _only_listed() -> None:
    """Stand for a verb that is not among the words."""
