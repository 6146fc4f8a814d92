"""The support matrix of cards/README.md, made from what the families' sessions can do.

`python -m tests.support_matrix` writes it anew.
"""

from pathlib import Path

from cards.family import CardFamily, Evidence, Software, Surroundings, families
from cards.session import (
    Attester,
    BackupExporter,
    BatchSigner,
    CardSession,
    KeyGenerator,
    Labeller,
    PinChanger,
    PinUnblocker,
    Resetter,
    SchnorrSigner,
    SeedLoader,
)

README = Path(__file__).parents[1] / "cards" / "README.md"
CAPABILITIES: dict[str, type] = {
    "signs and gives xpubs": CardSession,
    "proves to be genuine": Attester,
    "makes its key": KeyGenerator,
    "loads a seed": SeedLoader,
    "changes its PIN": PinChanger,
    "is unblocked": PinUnblocker,
    "encrypted backup": BackupExporter,
    "several digests at once": BatchSigner,
    "BIP 340": SchnorrSigner,
    "carries a label": Labeller,
    "factory reset": Resetter,
}
MARKS = {
    Evidence.EMULATOR: "e",
    Evidence.VECTORS: "v",
    Evidence.TRANSCRIPT: "t",
    Evidence.VENDOR: "c",
    Evidence.CARD: "!",
}
HEAD = """# Cards

One folder is one family; nothing else lists them. A transport carries bytes (a reader, an emulator,
a recording, a fault injector); a driver cannot tell which it has. A card signs 32-byte digests and
never sees a transaction.

## Where to look in a family
The same file names in each.

| file | what it holds |
| --- | --- |
| `__init__` | `FAMILY`: what is known of the cards, their codes, thieves and other software |
| `wire` | what both ends agree on: numbers, encodings, ciphers |
| `commands` | each command: a value, or a pure function that makes it |
| `answers` | a pure function for each answer, and what a refusal means |
| `channel` | the host's end of the secure channel |
| `link` | the way to a card: selected, identified, its PIN presented, mended when interrupted |
| `session` | what a card can do, as the protocols of `cards/session.py` ask for it |
| `attestation`, `roots` | whether the card is its maker's, and what that is held against |
| `emulator` | its applet in software, on the shell of `cards/emulation.py`: who answers what |
| `emulator_memory`, `emulator_keys` | what it remembers and whom it lets in; its keys |

## What works, and what stands behind it

This table is made by `python -m tests.support_matrix`; a test holds it against the code.
"""
UNMET = "Nothing here has met a physical card unless marked !."
THEFTS = "## A thief with the card alone"
SOFTWARE = "## Other software that can sign for a vault with it"


def readme() -> str:
    """Return the whole of cards/README.md."""
    header = ["what", *(family.name for family in families())]
    rows = [
        [name, *(_cell(family, name, kind) for family in families())]
        for name, kind in CAPABILITIES.items()
    ]
    rows.append(["script types", *(_scripts(family) for family in families())])
    rows.append(["versions emulated", *(", ".join(f.profiles) for f in families())])
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    marks = "; ".join(f"**{mark}** {evidence.value}" for evidence, mark in MARKS.items())
    legend = f"{marks}; **no** the family cannot. {UNMET}"
    thefts = [f"- **{f.name}**: {f.theft.sentence} ({f.theft.source})." for f in families()]
    software = [
        f"- **{f.name}**: {'; '.join(map(_program, f.other_software)) or 'none known'}."
        for f in families()
    ]
    parts = [HEAD + "\n" + table, legend, THEFTS, "\n".join(thefts), SOFTWARE, "\n".join(software)]
    return "\n\n".join(parts) + "\n"


def _cell(family: CardFamily, name: str, kind: type) -> str:
    """Return the mark of what stands behind a capability; a dash where no version has it."""
    cards = ((profile, family.emulate(profile).insert()) for profile in family.profiles)
    having = [at for at, card in cards if isinstance(family.open(card, Surroundings()), kind)]
    if not having:
        return "no"
    return _of(family, MARKS[family.evidence.get(name, Evidence.EMULATOR)], having)


def _scripts(family: CardFamily) -> str:
    """Return the script types, each with its versions where not all of them can."""
    able = {
        script: [profile for profile in family.profiles if script in family.signs_at(profile)]
        for script in sorted(frozenset().union(*family.signs.values()))
    }
    return ", ".join(_of(family, script, having) for script, having in able.items())


def _of(family: CardFamily, what: str, having: list[str]) -> str:
    """Return what some versions have, with their names unless all have it."""
    return what if len(having) == len(family.profiles) else f"{what} ({', '.join(having)})"


def _program(software: Software) -> str:
    limits = [f"versions {beginning}x" for beginning in software.versions if beginning]
    return f"{software.name} ({'; '.join([*limits, software.source])})"


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
