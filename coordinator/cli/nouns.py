"""The nouns of the command line: which module holds them, and their line of help."""

from collections.abc import Collection
from importlib import import_module

import typer

from coordinator.cli import audit, demo, guide, home, kit, manual, money, page
from coordinator.cli.options import command, group

GROUPS = {
    "reader": ("reader", "What lies on the card readers."),
    "card": ("card", "Set up, enrol, check and look after cards."),
    "vault": ("vault", "Make, prove, carry and list vaults."),
    "key": ("key", "Keys held elsewhere, and a card's key for other coordinators."),
    "address": ("address", "Receive: new addresses, and whether one is ours."),
    "coin": ("coin", "Coins: freeze and thaw them, carry them by file."),
    "label": ("label", "What coins, payments, addresses and keys are called."),
    "spend": ("spend", "Pay: create, sign card by card, finalize, broadcast."),
    "tx": ("tx", "Send a transaction that was finished elsewhere."),
    "location": ("custody", "Places: what kind, whose, how fast to reach."),
    "drill": ("drill", "Have every key proved where its card lies."),
    "holder": ("custody", "People who can open a place."),
    "carrier": ("carrier", "Plates, words and backups that bring a key back."),
    "copy": ("kit", "Copies of a vault's descriptor, and the version each holds."),
    "secret": ("secret", "Who knows a PIN, PUK or pairing password; never its value."),
    "custody": ("custody", "The custody book: what happened to each thing."),
    "replace": ("replace", "Put a new card and vault in the place of one that is gone."),
    "database": ("database", "A home's memory on a server that several share."),
    "emulate": ("emulate", "Make cards of software, for trying and testing."),
    "regtest": ("regtest", "Mine and fund on the embedded regtest chain."),
}


def attach(app: typer.Typer, words: Collection[str]) -> None:
    """Hang every noun and verb into the program; only those among the words get their options.

    Building all fifty commands takes longer than everything else `--help` does.
    """
    for module in (home, guide, page, demo, money, audit, kit, manual):
        for name, verb in module.COMMANDS[""].items():
            if name in words:
                command(app, name)(verb)
            else:
                app.command(name, help=verb.__doc__)(_only_listed)
    for noun, (module_name, help_line) in GROUPS.items():
        commands = group(help_line)
        if noun in words:
            held = import_module(f"coordinator.cli.{module_name}")
            for name, verb in held.COMMANDS[noun].items():
                command(commands, name)(verb)
        app.add_typer(commands, name=noun)


def _only_listed() -> None:
    """Stand for a verb that is not among the words."""
