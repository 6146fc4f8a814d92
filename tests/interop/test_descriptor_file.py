"""Descriptors are found in the files other wallets write, and are those of one wallet."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import NotImportable, UsageError
from coordinator.interop.descriptor_file import TEXT_MAX, descriptors_in
from coordinator.interop.descriptors import multipath, pair
from coordinator.interop.recognition import Given, read_text
from coordinator.interop.wallet_file import WalletFile, first_address, policy_of
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import RECEIVE as FIRST_KEYCHAIN
from psbt.policy import addresses, checksum

BOTH, RECEIVE, CHANGE = "/<0;1>/*", "/0/*", "/1/*"
HERE = Network.REGTEST

KEYS = (
    "[fd49caa0/48h/1h/0h/2h]tpubDEjsXk1EtNYJg1EhA65W2NrjWt4CVnGnUDGjW2TBpdivNQs4PRGNPVh7FK666JYwYAyoxH8epshjfpqeutCHx5DC88jXKvFiRZ9jCgsvnwE",
    "[47237cfd/48h/1h/0h/2h]tpubDDuXvjq5jan2F8cCmbKv6NqGPGfv2pUzUmrSZKoQ1nVJtAoTuTzz1RAbsCm5tweAyZoAWx6wzfZHXbGRxSJjgWp794GnhXj3i6PuBtQcNts",
    "[2f1c64f7/48h/1h/0h/2h]tpubDEzLfTnf5RBYiH1vvmjRoKrZ1wnb6RrZkisYPWyc5kVTaby5CtfaEjCLYAsxhcHCqnhXzfAWpnA9ByzNBFgFwtd7zjeMwr2scJA2QRPKU3g",
)


def written(keychain: str, threshold: int = 2, marked: str = "'") -> str:
    body = f"wsh(sortedmulti({threshold},{','.join(key + keychain for key in KEYS)}))"
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
        f"Descripción: {WHOLE}",
        f"\u0414\u0435\u0441\u043a\u0440\u0438\u043f\u0442\u043e\u0440:\n\u2014 {WHOLE}",
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
    found = read_text(text, HERE)
    assert multipath(found, HERE) == WHOLE
    assert found.warnings == found.repairs == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{WHOLE}\n{written(BOTH, threshold=1)}", "the file holds 2 wallets"),
        (f"{FIRST}\n{written(CHANGE, threshold=3)}", "the descriptor has the keychains 1"),
        (f"{WHOLE}\n{FIRST[:-1]}x", "checksum is"),
        (f"{WHOLE}\nsome words", "line 2, of 9 characters, is no descriptor"),
        (f"family vault\n{WHOLE}", "line 1, of 11 characters, is no descriptor"),
        ("\n".join([WHOLE] * 101), "101 descriptors"),
        ("{" * 100_000, "nested more than 64 deep"),
        ('{"descriptor": 1}', "not a text"),
        ("{}", "no wallet format known here"),
        ("wsh(" * (TEXT_MAX // 4 + 1), "characters is no descriptor"),
        (BODY.replace("<0;1>", "<2;2>"), "key 1 has the keychains <2;2>"),
        (f"{WHOLE}\n{written('/7/*')}", "the keychains 0;1, 7; receive and change"),
        ("\n".join(map(written, ("/4/*", "/5/*", "/6/*"))), "the keychains 4, 5, 6; receive"),
        (BODY.replace("<0;1>", "<0;1;2>"), "derives /<0;1;2>/\\*"),
        (written(CHANGE), "the keychains 1;"),
        (BODY.replace("<0;1>", "0", 1), "keys 1 and 2 derive /0/\\* and /<0;1>/\\*"),
        (BODY.replace("/<0;1>/*", "/<0;1>/*h"), "hardened steps need the private key"),
        (BODY.replace("multi(2", "multi(4"), "4 of 3 keys"),
        (BODY.replace("multi(2", "multi(x"), "'x' signatures"),
        (BODY.replace("wsh(sortedmulti(2,", "tr(").replace("))", ")"), "a taproot wallet"),
        (f"wpkh({KEYS[0]}/0/*)", "a single key"),
        (f"wsh(and_v(v:pk({KEYS[0]}/0/*),older(9)))", "a miniscript policy"),
        (BODY.replace("tpubD", "tprv8"), "private key"),
        (BODY.replace(KEYS[1], KEYS[0]), "keys 1 and 2 of the descriptor are the same key"),
        (KEYS[0], "this is one key"),
        (BODY.replace("[fd49caa0/", "[fd49caa/"), "no fingerprint of 8 hex digits"),
    ],
)
def test_what_is_not_one_wallet_is_refused(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        read_text(text, HERE)


@pytest.mark.parametrize("script", ["wsh({})", "sh(wsh({}))", "sh({})"])
@pytest.mark.parametrize("multi", ["sortedmulti", "multi"])
def test_script_and_order_are_told_apart(script: str, multi: str) -> None:
    inner = f"{multi}(2,{','.join(key + BOTH for key in KEYS)})"
    body = script.format(inner)
    found = read_text(f"{body}#{checksum(body)}", HERE)
    assert multipath(found, HERE).partition("#")[0] == body
    if found.form == "wsh(sortedmulti(2 of 3))":
        policy = policy_of(found, HERE)
        assert next(addresses(policy, FIRST_KEYCHAIN, [0])) == first_address(found, HERE)


@pytest.mark.parametrize("both", ["/<2;3>/*", "/<1;0>/*"])
def test_other_keychains_are_kept_as_written(both: str) -> None:
    assert multipath(read_text(written(both), HERE), HERE) == written(both)


def test_keys_may_have_keychains_of_their_own() -> None:
    text = WHOLE.partition("#")[0].replace("<0;1>", "<6;7>", 1)
    found = read_text(text, HERE)
    assert multipath(found, HERE).partition("#")[0] == text
    receive, change = pair(found, HERE)
    assert (receive.count("/6/*"), change.count("/1/*")) == (1, 2)
    assert multipath(read_text(f"{receive}\n{change}", HERE), HERE).partition("#")[0] == text


def test_the_first_of_two_other_keychains_is_receive() -> None:
    found = read_text(f"{written('/9/*')}\n{written('/8/*')}", HERE)
    assert {key.keychains for key in found.keys} == {(9, 8)}


def test_pairs_of_keychains_of_the_same_keys_are_two_wallets() -> None:
    other = written("/<2;3>/*")
    text = f"{WHOLE}\n{other}\n{written('/2/*')}"
    assert multipath(read_text(text, HERE, Given(wallet=other[-8:])), HERE) == other


def test_receive_alone_is_taken_with_change_beside_it() -> None:
    found = read_text(FIRST, HERE)
    assert multipath(found, HERE) == WHOLE
    assert [each.code for each in found.warnings] == ["change_assumed"]


def test_keys_without_children_are_repaired_with_the_first_address_shown() -> None:
    found = read_text(BODY.replace(BOTH, ""), HERE)
    assert [each.code for each in found.repairs] == ["add_children"]
    assert first_address(found, HERE) in found.repairs[0].message


def test_keys_that_derive_no_keychain_are_repaired_with_the_first_address_shown() -> None:
    found = read_text(written("/*"), HERE)
    assert [each.code for each in found.repairs] == ["add_children"]
    assert first_address(found, HERE) in found.repairs[0].message
    assert multipath(found, HERE) == WHOLE


@pytest.mark.parametrize("other", ["", "/**", "/0/*"])
def test_keys_that_derive_no_keychain_beside_others_are_refused(other: str) -> None:
    mixed = BODY.replace(BOTH, "/*", 1).replace(BOTH, other)
    with pytest.raises(PolicyError, match=r"derive /\* and .*: they must derive alike"):
        read_text(mixed, HERE)


def test_one_of_several_is_chosen_by_its_checksum() -> None:
    other = written(BOTH, threshold=1)
    text = f"{WHOLE}\n{other}"
    found = read_text(text, HERE, Given(wallet=other[-8:]))
    assert found.threshold == 1
    with pytest.raises(UsageError, match=WHOLE[-8:]):
        read_text(text, HERE, Given(wallet="zzzz"))


def test_fixed_keys_are_one_address_and_the_hint_tells_it() -> None:
    fixed = BODY.replace(BOTH, "/0/7")
    with pytest.raises(NotImportable, match="fixed at /0/7") as refused:
        read_text(fixed, HERE)
    policy = policy_of(read_text(WHOLE, HERE), HERE)
    assert next(addresses(policy, FIRST_KEYCHAIN, [7])) in refused.value.remedy


def test_steps_before_the_keychains_are_taken_with_their_origin() -> None:
    found = read_text(BODY.replace(BOTH, f"/7{BOTH}"), HERE)
    assert [each.path[-1] for each in found.keys if each.path] == [7, 7, 7]
    assert [each.code for each in found.warnings][-1] == "keys_derived"


def without_origin(text: str) -> WalletFile:
    return read_text(text.replace("[fd49caa0/48h/1h/0h/2h]", ""), HERE)


def test_a_key_without_origin_is_its_own() -> None:
    found = without_origin(BODY)
    assert [each.code for each in found.warnings] == ["origin_unknown"]
    assert first_address(found, HERE) == first_address(read_text(WHOLE, HERE), HERE)
    again = read_text(multipath(found, HERE), HERE)
    assert again == replace(found, warnings=())


def test_an_origin_that_contradicts_its_key_is_told_and_not_kept() -> None:
    found = read_text(BODY.replace("fd49caa0/48h/1h/0h/2h", "fd49caa0/48h/1h/0h"), HERE)
    assert [each.code for each in found.warnings] == ["origin_differs"]
    assert found.keys[0].path == ()


ANNOTATED = f"{BODY}?bh=840000&gl=50"


@pytest.mark.parametrize("whole", [WHOLE, f"{ANNOTATED}#{checksum(ANNOTATED)}"])
@pytest.mark.parametrize(
    "around", ["{}", '"{}",', "- `{}`", "descriptor = '{}'", "# ours\n{}\n# end"]
)
def test_what_is_wrapped_anywhere_is_one_text(whole: str, around: str) -> None:
    for place in range(len("wsh("), len(whole)):
        for end in ("\n", "\r\n    "):
            wrapped = whole[:place] + end + whole[place:]
            assert descriptors_in(around.format(wrapped)) == [whole]


@pytest.mark.parametrize("comment", ["# a key", "; a key", "// a key", ""])
def test_comments_stand_between_the_lines_of_a_descriptor(comment: str) -> None:
    assert descriptors_in(WHOLE.replace(",", f",\n{comment}\n")) == [WHOLE]


def test_what_is_wrapped_in_very_many_lines_is_one_text() -> None:
    assert len(descriptors_in("wsh(\n" + "x\n" * 200_000)[0]) == 200_004


@given(st.text(st.sampled_from("wsh(){}[]#\"' \n\r\u2028x1,/<;>*")) | st.text())
def test_any_text_is_a_wallet_or_refused(text: str) -> None:
    try:
        assert isinstance(read_text(text, HERE), WalletFile)
    except (PolicyError, UsageError) as refused:
        assert str(refused)  # noqa: PT017 -- either is right


def test_of_a_list_of_wallets_one_is_chosen_by_its_name() -> None:
    listed = [
        {"label": name, "descriptor": written(RECEIVE, m)} for name, m in (("a", 1), ("b", 2))
    ]
    for document in (listed, {"wallets": [*listed, {"label": "c", "descriptor": "wpkh(x)"}, 7]}):
        text = json.dumps(document)
        with pytest.raises(NotImportable, match="holds 2 wallets: a #") as refused:
            read_text(text, HERE)
        assert "--wallet" in refused.value.remedy
        assert read_text(text, HERE, Given(wallet="b")).threshold == 2
