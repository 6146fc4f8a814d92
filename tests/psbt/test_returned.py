"""A payment that comes back: its signatures are taken whatever was left out, by any script."""

from collections.abc import Iterator

import pytest

from psbt import codec, fields
from psbt.combiner import combine
from psbt.extractor import extract
from psbt.fields import Maps
from psbt.finalizer import finalize
from tests.psbt.soft_vault import quorum, soft_vault

PARTIAL_SIG = b"\x02"
SIGNING = {
    PARTIAL_SIG,
    fields.IN_FINAL_SCRIPTSIG,
    fields.IN_FINAL_SCRIPTWITNESS,
    fields.IN_TAP_SCRIPT_SIG,
}
FORMS = [(script, True) for script in ("wsh", "sh-wsh", "sh", "tr")]
FORMS += [(script, False) for script in ("wsh", "sh-wsh", "sh")]


def each_left_out(maps: Maps) -> Iterator[Maps]:
    """Yield maps that lack one field, but a signature, of an input or output."""
    for scope in ("inputs", "outputs"):
        listed = getattr(maps, scope)
        for place, own in enumerate(listed):
            for key in own:
                if scope == "outputs" or key[:1] not in SIGNING:
                    left = {name: value for name, value in own.items() if name != key}
                    others = (*listed[:place], left, *listed[place + 1 :])
                    yield maps._replace(**{scope: others})


@pytest.mark.parametrize(("script", "is_sorted"), FORMS)
def test_its_signatures_are_taken_whatever_field_was_left_out(
    script: str, *, is_sorted: bool
) -> None:
    vault = soft_vault(2, 3, script, sorted_keys=is_sorted)
    asked = vault.spend([90_000], 50_000, 39_000)
    signed = vault.sign(vault.sign(asked, 0), 2)
    final = extract(finalize(signed, vault.policy))
    finished = finalize(signed, vault.policy)
    count = 0
    for back in (signed, finished):
        for maps in each_left_out(codec.read_maps(codec.to_bytes(back))):
            read = codec.parse_returned(fields.write(maps), asked)
            both = combine(asked, read, vault.policy)
            assert quorum(both, vault.policy) == (2, 2)
            assert extract(finalize(both, vault.policy)) == final
            count += 1
    assert count > 10
