"""A descriptor is found in the files other wallets write, and in none that hold two policies."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.interop.descriptor_file import BOTH, CHANGE, RECEIVE, TEXT_MAX, descriptor_in
from psbt.errors import PolicyError
from psbt.policy import checksum

KEYS = (
    "[fd49caa0/48h/1h/0h/2h]tpubDEjsXk1EtNYJg1EhA65W2NrjWt4CVnGnUDGjW2TBpdivNQs4PRGNPVh7FK666JYwYAyoxH8epshjfpqeutCHx5DC88jXKvFiRZ9jCgsvnwE",
    "[47237cfd/48h/1h/0h/2h]tpubDDuXvjq5jan2F8cCmbKv6NqGPGfv2pUzUmrSZKoQ1nVJtAoTuTzz1RAbsCm5tweAyZoAWx6wzfZHXbGRxSJjgWp794GnhXj3i6PuBtQcNts",
    "[2f1c64f7/48h/1h/0h/2h]tpubDEzLfTnf5RBYiH1vvmjRoKrZ1wnb6RrZkisYPWyc5kVTaby5CtfaEjCLYAsxhcHCqnhXzfAWpnA9ByzNBFgFwtd7zjeMwr2scJA2QRPKU3g",
)


def written(branch: str, threshold: int = 2, marked: str = "'") -> str:
    body = f"wsh(sortedmulti({threshold},{','.join(key + branch for key in KEYS)}))"
    return f"{body}#{checksum(body)}" if marked else body


BODY = written(BOTH).partition("#")[0]
WHOLE, FIRST, SECOND = written(BOTH), written(RECEIVE), written(CHANGE)
SPARROW = f"""# Receive and change descriptor (BIP389):
{WHOLE}

# Receive descriptor (Bitcoin Core):
{written(RECEIVE, marked="")}

# Change descriptor (Bitcoin Core):
{written(CHANGE, marked="")}
"""
HALVES = [WHOLE[:100], WHOLE[100:200], WHOLE[200:]]


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"\n\n  {WHOLE}  \n\n\n",
        SPARROW,
        SPARROW.replace("\n", "\r\n"),
        SPARROW.replace("\n", "\r"),
        f"# ours\n{WHOLE}",
        f"{WHOLE}\n# ours",
        f"{WHOLE}\n{WHOLE}\n",
        f"{FIRST}\n{SECOND}\n",
        f"{SECOND}\r\n\r\n{FIRST}",
        f"{FIRST}\n{SECOND.replace('h/', chr(39) + '/').partition('#')[0]}",
        f"{BODY}\n#{WHOLE.partition('#')[2]}\n",
        "\n".join(HALVES),
        "  " + "\r\n    ".join(HALVES),
        WHOLE.replace(",", ", "),
        json.dumps({"name": "v", "descriptor": WHOLE}, indent=2),
    ],
)
def test_one_policy_is_found(text: str) -> None:
    assert descriptor_in(text) == WHOLE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{WHOLE}\n{written(BOTH, threshold=1)}", "2 descriptors of 2 policies"),
        (f"{FIRST}\n{written(CHANGE, threshold=3)}", "2 descriptors of 2 policies"),
        (f"{WHOLE}\n{FIRST[:-1]}x", "checksum is"),
        (f"{WHOLE}\nsome words", "line 2 is no descriptor: it begins with 'somewords'"),
        (f"family vault\n{WHOLE}", "line 1 is no descriptor"),
        ("\n".join([WHOLE] * 101), "101 descriptors"),
        ("{" * 100_000, "nested more than 64 deep"),
        ('{"descriptor": 1}', "not a text"),
        ("{}", "descriptor is missing"),
        ("w" * (TEXT_MAX + 1), "characters is no descriptor"),
    ],
)
def test_what_is_not_one_policy_is_refused(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        descriptor_in(text)


def test_one_branch_alone_is_left_for_the_reader_of_descriptors_to_refuse() -> None:
    assert descriptor_in(FIRST) == FIRST
    assert descriptor_in(f"{FIRST}\n{FIRST}") == FIRST


def test_what_is_wrapped_in_very_many_lines_is_one_text() -> None:
    assert len(descriptor_in("wsh(\n" + "x\n" * 200_000)) == 200_004


@given(st.text(st.sampled_from("wsh(){}[]#\"' \n\r\u2028x1,/<;>*")) | st.text())
def test_any_text_is_a_descriptor_or_refused(text: str) -> None:
    try:
        assert isinstance(descriptor_in(text), str)
    except PolicyError as refused:
        assert str(refused)  # noqa: PT017 -- either is right
