"""The checksum of a descriptor, judged by embit and by the vectors of BIP 380."""

import pytest
from embit.descriptor import checksum as judge
from hypothesis import given
from hypothesis import strategies as st

from psbt.checksum import CHARACTERS, checksum
from psbt.errors import PolicyError


@given(st.text(alphabet=CHARACTERS, max_size=200))
def test_a_checksum_is_embits(text: str) -> None:
    assert checksum(text) == judge.checksum(text)


def test_every_character_that_fits_is_told_from_every_other() -> None:
    assert len({checksum(f"raw({character})") for character in CHARACTERS}) == len(CHARACTERS) == 95


def test_a_checksum_is_that_of_bip_380() -> None:
    assert checksum("raw(deadbeef)") == "89f8spxm"


@pytest.mark.parametrize("text", ["raw(ü)", "raw(\n)", "raw(\0)", "raw(\U0001d7d8)"])
def test_a_character_that_no_descriptor_holds_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"the character .* at position \d+: no descriptor may"):
        checksum(text)
