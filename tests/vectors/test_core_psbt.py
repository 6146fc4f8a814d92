"""Bitcoin Core's own lists of PSBTs it reads and refuses (MIT; read where they lie, not copied)."""

import base64
import json
from pathlib import Path

import pytest

from psbt import codec, fields
from psbt.errors import PsbtError

SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
FILE = SHARED / "core" / "rpc_psbt.json"
REASON = "Bitcoin Core's vectors are not here"


def load(*kinds: str) -> list[object]:
    if not FILE.is_file():
        return [pytest.param("", id="rpc_psbt", marks=pytest.mark.skip(REASON))]
    found = json.loads(FILE.read_text())
    texts = [
        (f"{kind}-{number}", each if isinstance(each, str) else each[0])
        for kind in kinds
        for number, each in enumerate(found[kind])
    ]
    return [pytest.param(text, id=name) for name, text in texts]


@pytest.mark.parametrize("text", load("invalid", "invalid_with_msg"))
def test_what_core_refuses_is_refused_when_read(text: str) -> None:
    with pytest.raises(PsbtError):
        codec.parse(text)


@pytest.mark.parametrize("text", load("valid"))
def test_what_core_reads_is_read_and_nothing_of_it_is_lost(text: str) -> None:
    given, transaction = fields.read(base64.b64decode(text))
    written = codec.read_maps(codec.to_bytes(codec.parse(text)), given.version)
    for (name, values), (_, ours) in zip(given.named(), written.named(), strict=True):
        kept = {key: value for key, value in values.items() if key not in SAID_OTHERWISE}
        assert kept.items() <= ours.items(), name
    assert fields.check(written) == transaction


SAID_OTHERWISE = {
    fields.GLOBAL_VERSION,
    fields.GLOBAL_TX_MODIFIABLE,
    fields.GLOBAL_FALLBACK_LOCKTIME,
    fields.IN_REQUIRED_TIME_LOCKTIME,
    fields.IN_REQUIRED_HEIGHT_LOCKTIME,
}
"""What the transaction says, or what nobody may change any more."""
