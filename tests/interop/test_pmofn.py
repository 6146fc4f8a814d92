"""Specter's parts of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import UsageError
from coordinator.interop import pmofn, writing
from coordinator.interop.recognition import read_text
from coordinator.interop.wallet_file import wallet_of
from tests.psbt.soft_vault import soft_vault

POLICY = soft_vault(2, 3).policy
WALLET = wallet_of(POLICY, "family", ("a", "b", "c"))


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1), st.randoms())
def test_parts_come_together_in_any_order(text: str, rng: object) -> None:
    parts = pmofn.split(text, 20)
    getattr(rng, "shuffle")(parts)  # noqa: B009 -- hypothesis' own kind of random
    assert pmofn.joined([*parts, parts[0]]) == text


def test_a_wallet_in_parts_is_read() -> None:
    text = writing.write(WALLET, POLICY.network, "specter-diy")[0]
    parts = "\n".join(reversed(pmofn.split(text, 90)))
    assert read_text(parts, POLICY.network).name == "family"


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([], "of 0 parts"),
        (["p1of2 a"], "missing: 2"),
        (["p3of2 a"], "part 3 of 2"),
        (["p0of2 a"], "part 0 of 2"),
        (["p1of2 a", "p2of3 b"], "the others are of 2"),
        (["p1of2 a", "p1of2 b"], "read twice"),
        (["hello"], "no part"),
        (["p1of2 " + "a" * 9_000], "no part"),
    ],
)
def test_parts_that_do_not_fit_are_refused(texts: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        pmofn.joined(texts)


def test_a_text_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="99 is the most"):
        pmofn.split("a" * 2_000, 20)
    with pytest.raises(UsageError, match="more than 8"):
        pmofn.split("a", 8)
