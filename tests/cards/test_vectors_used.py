"""Every published vector is a test, or there is a reason why it can be none."""

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "../shared/cards/vectors.json"
NOT_OURS = {
    "lee_4x": "key material of another chain; LOAD KEY of that kind is refused by the emulator",
    "tlv-signing-method-mask": "wallets of COS 4 and newer have no such tag; it is never read",
    "tlv-hash-size": "every digest here has 32 bytes; tag 51 is a constant",
    "date-encoding": "the date of manufacture is neither shown nor checked",
}


def names() -> set[str]:
    known = json.loads(VECTORS.read_text())
    found = {name for family in ("satochip", "tapsigner", "keycard") for name in known[family]}
    return found | {each["id"] for each in known["tangem"]["vectors"]}


def test_every_vector_is_used_or_has_a_reason() -> None:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    tests = "".join(p.read_text() for p in HERE.glob("test_*.py") if p != Path(__file__))
    modes = {f"session-{mode}" for mode in ("fast", "strong") if 'f"session-{mode}"' in tests}
    used = {name for name in names() if f'"{name}"' in tests} | modes
    assert names() - used == NOT_OURS.keys()
