"""The table of formats in docs/other-wallets.md says what the code does, and how many files it does
it with as the index of other wallets' files says.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from coordinator.interop import qr_text, recognition, ur_types, writing
from coordinator.vault import foreign_keys
from tests.interop import test_wallet_files as files
from tests.test_house import ROOT
from tests.vectors import test_interop_psbts as psbts

PAPER = ROOT / "docs" / "other-wallets.md"


class Row(NamedTuple):
    """A format: by which names it is read and written, who judges it, which files of the index."""

    name: str
    read: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    judge: str = ""
    files: tuple[str, ...] = ()


VAULTS = (
    Row("descriptor, alone or in a text", ("descriptor",), ("descriptor", "multipath", "pair"),
        "libwally, BDK, Bitcoin Core's and the BIPs' vectors", ("descriptor text",)),
    Row("Bitcoin Core", ("core",), ("core",), "Bitcoin Core (`BITCOIND`)"),
    Row("BSMS 1.0, plain and encrypted", ("bsms",), ("bsms",), "BIP 129's vectors", ("BSMS",)),
    Row("Coldcard's text and its dialects", ("coldcard",), ("coldcard",), "published files",
        ("Coldcard multisig text",)),
    Row("Caravan", ("caravan",), ("caravan",), "Caravan's own code", ("Caravan",)),
    Row("Specter", ("specter",), ("specter",), "Specter's own code (`SPECTER`)", ("Specter JSON",)),
    Row("Specter-DIY", ("specter-diy",), ("specter-diy",), "published files",
        ("Specter-DIY addwallet text",)),
    Row("Electrum", ("electrum",), ("electrum",), "Electrum 4.3.4", ("Electrum wallet file",)),
    Row("Sparrow's descriptor export", ("descriptor",), ("sparrow",), "published files"),
    Row("Jade's registration", ("jade",), ("jade",), "Jade's published files, field by field",
        ("Jade multisig registration",)),
    Row("BIP 388 policy", ("bip388",), ("bip388",), "BIP 388's vectors", ("BIP 388-like policy",)),
    Row("Liana's wallet", ("liana",), ("descriptor",), "Liana's published descriptors",
        ("miniscript descriptor",)),
    Row("encrypted descriptor (BIP 138), as kits have it", (), (), "Liana's file",
        ("encrypted descriptor backup",)),
    Row("our own JSON, and any JSON with a descriptor in it", ("json",), ("json",)),
    Row("UR 2 and UR 1", (), tuple(ur_types.WRITERS), "bc-ur of Node.js, published vectors"),
    Row("BBqr", (), ("bbqr",), "bbqr of Node.js, a real scan"),
)  # fmt: skip
KEYS = (
    Row("key expression", (), ("expression",), "BIP 380's vectors"),
    Row("SLIP 132", (), ("slip132",), "SLIP 132's vectors"),
    Row("Coldcard's key file", (), ("coldcard",), "published files", ("Coldcard ccxp JSON",)),
    Row("Specter's device, of its keys those for several signers", (), (), "published shape"),
    Row("Cobo's key file", (), ("cobo",), "published shape"),
    Row("BSMS key record", (), ("bsms",), "BIP 129's vectors"),
    Row("UR account", (), ("ur",), "published vectors"),
)
PAYMENTS = (
    Row("PSBT of version 0 and 2", (), ("psbt", "base64", "hex"),
        "libwally, BDK, Electrum, Caravan's own code, Bitcoin Core's and the BIPs' vectors",
        ("PSBT",)),
    Row("BBqr, UR", (), ("bbqr", "ur"), "bbqr and bc-ur of Node.js"),
    Row("Specter's parts", (), ("pmofn",), "published shape"),
)  # fmt: skip
KINDS = {"vault": VAULTS, "key": KEYS, "payment": PAYMENTS}
WHY = "Not as the index of those files says:"
HEAD = "| format | read | written as | judged by | files right / of |\n|---|---|---|---|---|"


def counted(row: Row) -> str:
    """Return how many files are read as the index says, of how many; the rest has its reason."""
    entries = [
        entry
        for entry in json.loads((files.FOLDER / "index.json").read_text())
        if entry["format"] in row.files and not entry.get("extracted")
    ]
    return f"{sum(map(is_right, entries))} / {len(entries)}" if entries else ""


def is_right(entry: dict[str, Any]) -> bool:
    if entry["format"] == "PSBT" and entry["file"].startswith("jade/"):
        psbts.test_what_a_jade_was_asked_and_signed_is_read_and_verifies(
            files.FOLDER / entry["file"], entry["expect"]["unsigned"]
        )
        return True
    if entry["format"] == "PSBT":
        psbts.test_a_file_is_read_as_a_right_reader_does(
            files.FOLDER / entry["file"], entry["expect"]
        )
        return entry["file"] not in psbts.REFUSED_WHEN_USED
    if entry["format"] in files.KEYS:
        files.test_a_signers_key_file_is_read_as_its_index_says(entry)
        return True
    files.test_a_wallets_file_is_read_as_its_index_says(entry)
    return entry["file"] not in files.OTHERWISE


def lines() -> Iterator[str]:
    yield HEAD
    for rows in KINDS.values():
        for row in rows:
            as_ = ", ".join(f"`{name}`" for name in row.written) or "no"
            yield f"| {row.name} | yes | {as_} | {row.judge or 'itself'} | {counted(row)} |"


def reasons() -> Iterator[str]:
    """Yield the files that are not read as the index says, each with why."""
    yield from (f"- `{name}`: {why}" for name, why in sorted(files.OTHERWISE.items()))
    for name in sorted(psbts.REFUSED_WHEN_USED):
        yield f"- `{name}`: well-formed; refused where it would be signed, by input and field"


def test_the_table_names_every_format_there_is() -> None:
    read = {name for row in VAULTS for name in row.read}
    assert read == set(recognition.NAMES)
    written = [{name for row in rows for name in row.written} for rows in KINDS.values()]
    assert written == [
        {*writing.FORMATS, "json"}, set(foreign_keys.WRITERS), set(qr_text.PAYMENT_FORMATS),
    ]  # fmt: skip


def test_the_table_in_the_document_is_the_one_counted() -> None:
    if not (files.FOLDER / "index.json").exists():
        pytest.skip("left out: no ../shared/vectors/interop here")
    assert "\n".join([*lines(), "", WHY, "", *reasons()]) in PAPER.read_text()
