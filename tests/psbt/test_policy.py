import json
import random
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psbt.errors import PolicyError
from psbt.keys import ExtendedPublicKey, KeyExpression, bip48_path, fingerprint, format_xpub
from psbt.multisig import Multisig, write_multisig
from psbt.network import Network
from psbt.policy import (
    CHANGE,
    RECEIVE,
    Policy,
    addresses,
    checksum,
    derive_scripts,
    format_descriptor,
    format_template,
    parse_descriptor,
    policy_checksum,
    same_scripts,
    vault_script,
)
from tests.judges import judge
from tests.psbt.soft_vault import master, soft_vault
from tests.sampled import shortened

wally = judge("wallycore")
bdk = judge("bdkpython")

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "bip67.json"
WALLY_NETWORKS = {
    Network.MAINNET: wally.WALLY_NETWORK_BITCOIN_MAINNET,
    Network.TESTNET4: wally.WALLY_NETWORK_BITCOIN_TESTNET,
    Network.SIGNET: wally.WALLY_NETWORK_BITCOIN_TESTNET,
    Network.REGTEST: wally.WALLY_NETWORK_BITCOIN_REGTEST,
}
BDK_NETWORKS = {
    Network.MAINNET: bdk.Network.BITCOIN,
    Network.TESTNET4: bdk.Network.TESTNET4,
    Network.SIGNET: bdk.Network.SIGNET,
    Network.REGTEST: bdk.Network.REGTEST,
}
POLICY = soft_vault(2, 3).policy
DESCRIPTOR = format_descriptor(POLICY)
BODY = DESCRIPTOR.partition("#")[0]


def random_policy(rng: random.Random) -> Policy:
    network = rng.choice(list(Network))
    total = rng.randint(1, 15)
    path = bip48_path(network)
    roots = [master(rng.randbytes(32)) for _ in range(total)]
    keys = [KeyExpression(fingerprint(root.pubkey), path, root.at(path).public()) for root in roots]
    return Policy(rng.randint(1, total), tuple(keys), network)


def wally_addresses(policy: Policy, keychain: int, indexes: list[int]) -> list[str]:
    parsed = wally.descriptor_parse(
        format_descriptor(policy), None, WALLY_NETWORKS[policy.network], 0
    )
    return [wally.descriptor_to_address(parsed, 0, keychain, index, 0) for index in indexes]


def bdk_addresses(policy: Policy, keychain: int, indexes: list[int]) -> list[str]:
    network = BDK_NETWORKS[policy.network]
    kind = bdk.NetworkKind.TEST if policy.network.coin_type else bdk.NetworkKind.MAIN
    both = bdk.Descriptor(format_descriptor(policy), kind)
    receive, change = both.to_single_descriptors()
    wallet = bdk.Wallet(receive, change, network, bdk.Persister.new_in_memory())
    keychain = bdk.KeychainKind.INTERNAL if keychain else bdk.KeychainKind.EXTERNAL
    return [str(wallet.peek_address(keychain, index).address) for index in indexes]


@pytest.mark.parametrize("seed", shortened(range(50), *range(0, 50, 3)))
def test_addresses_are_those_of_libwally_and_bdk(seed: int) -> None:
    """50 policies, each with both keychains and ten indexes: 1,000 addresses."""
    rng = random.Random(seed)
    policy = random_policy(rng)
    for keychain in (RECEIVE, CHANGE):
        indexes = [rng.randrange(2 ** rng.randint(1, 31)) for _ in range(10)]
        ours = list(addresses(policy, keychain, indexes))
        assert ours == wally_addresses(policy, keychain, indexes)
        assert ours == bdk_addresses(policy, keychain, indexes)


@pytest.mark.parametrize(
    "vector",
    json.loads(VECTORS.read_text())["vectors"]
    if VECTORS.exists()
    else [pytest.param({}, id="bip67", marks=pytest.mark.skip("no shared vectors here"))],
    ids=lambda vector: vector.get("address", ""),
)
def test_keys_are_sorted_as_bip67_says(vector: dict[str, object]) -> None:
    keys = tuple(sorted(map(bytes.fromhex, vector["list"])))
    assert [key.hex() for key in keys] == vector["sorted"]
    assert write_multisig(Multisig(2, keys)).hex() == vector["script"]


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (2, 3), (10, 15), (15, 15), (9, 10)])
def test_a_script_asks_for_the_threshold_of_the_sorted_keys(threshold: int, total: int) -> None:
    policy = soft_vault(threshold, total).policy
    script = vault_script(policy, CHANGE, 5)
    assert script.pubkeys == tuple(
        soft_vault(threshold, total).masters[n].at((*policy.keys[n].path, 1, 5)).pubkey
        for n in range(total)
    )
    assert script.witness_script == b"".join(
        (
            bytes([0x50 + threshold]),
            *(b"\x21" + key for key in sorted(script.pubkeys)),
            bytes([0x50 + total, 0xAE]),
        )
    )
    assert script.script_pubkey == b"\x00\x20" + sha256(script.witness_script).digest()
    assert (script.keychain, script.index) == (1, 5)


def test_the_order_of_cosigners_changes_no_script() -> None:
    turned = replace(POLICY, keys=POLICY.keys[::-1])
    ours, theirs = (vault_script(policy, RECEIVE, 3) for policy in (POLICY, turned))
    assert theirs.script_pubkey == ours.script_pubkey
    assert theirs.pubkeys == ours.pubkeys[::-1]
    assert policy_checksum(turned) != policy_checksum(POLICY)


def test_some_cosigners_keys_are_not_sorted_already() -> None:
    scripts = list(derive_scripts(POLICY, RECEIVE, range(20)))
    assert any(list(script.pubkeys) != sorted(script.pubkeys) for script in scripts)
    assert [script.index for script in scripts] == list(range(20))


def test_keychains_are_kept_as_written_of_each_key() -> None:
    pairs = ((0, 1), (7, 2), (2**31 - 1, 0))
    policy = replace(POLICY, keychains=pairs)
    text = format_descriptor(policy)
    assert [f"/<{low};{high}>/*" in text for low, high in pairs] == [True] * 3
    assert parse_descriptor(text, Network.REGTEST) == policy
    assert format_template(policy) == "wsh(sortedmulti(2,@0/**,@1/<7;2>/*,@2/<2147483647;0>/*))"
    for keychain in (RECEIVE, CHANGE):
        ours = list(addresses(policy, keychain, [0, 9]))
        assert ours == bdk_addresses(policy, keychain, [0, 9])
        assert ours == wally_addresses(policy, keychain, [0, 9])


def test_the_usual_keychains_written_out_are_the_same_policy() -> None:
    assert replace(POLICY, keychains=((0, 1),) * 3) == POLICY
    assert not same_scripts(POLICY, replace(POLICY, keychains=((1, 0),) * 3))
    with pytest.raises(PolicyError, match="3 keys have 2 pairs"):
        replace(POLICY, keychains=((0, 1),) * 2)


def test_sorted_policies_are_the_same_in_any_order_of_keys() -> None:
    pairs = ((0, 1), (2, 3), (4, 5))
    turned = replace(POLICY, keys=POLICY.keys[::-1], keychains=pairs[::-1])
    assert same_scripts(replace(POLICY, keychains=pairs), turned)
    fixed = replace(POLICY, sorted_keys=False)
    assert not same_scripts(fixed, replace(fixed, keys=fixed.keys[::-1]))
    assert not same_scripts(fixed, POLICY)


def test_keychains_give_different_scripts() -> None:
    assert vault_script(POLICY, 0, 1).script_pubkey != vault_script(POLICY, 1, 1).script_pubkey
    assert vault_script(POLICY, 0, 1).script_pubkey != vault_script(POLICY, 1, 0).script_pubkey


@pytest.mark.parametrize(("keychain", "index"), [(2, 0), (-1, 0), (0, -1), (0, 2**31)])
def test_there_are_no_other_scripts(keychain: int, index: int) -> None:
    with pytest.raises(PolicyError, match=str(keychain or index)):
        vault_script(POLICY, keychain, index)


@given(st.data())
@settings(max_examples=25)
def test_a_descriptor_is_read_as_it_was_written(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 15))
    policy = soft_vault(data.draw(st.integers(1, total)), total).policy
    text = format_descriptor(policy)
    for form in (text, text.partition("#")[0], f" {text}\n"):
        assert parse_descriptor(form, Network.REGTEST) == policy
    parsed = wally.descriptor_parse(text, None, wally.WALLY_NETWORK_BITCOIN_REGTEST, 0)
    assert wally.descriptor_get_checksum(parsed, 0) == policy_checksum(policy) == text[-8:]


def test_apostrophes_are_read_too() -> None:
    other = BODY.replace("h/", "'/").replace("h]", "']")
    assert other != BODY
    assert parse_descriptor(other, Network.REGTEST) == POLICY
    assert parse_descriptor(f"{other}#{checksum(other)}", Network.REGTEST) == POLICY


def test_the_template_is_that_of_bip388() -> None:
    assert format_template(POLICY) == "wsh(sortedmulti(2,@0/**,@1/**,@2/**))"
    assert format_template(soft_vault(11, 12).policy).startswith("wsh(sortedmulti(11,@0/**,")


TPUB = format_xpub(POLICY.keys[0].key, Network.REGTEST)
XPUB = format_xpub(POLICY.keys[0].key, Network.MAINNET)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{BODY}#qqqqqqqq", f"checksum is {DESCRIPTOR[-8:]}, not qqqqqqqq"),
        (f"{BODY}#", "checksum is"),
        (f"{DESCRIPTOR}#", "checksum is"),
        (DESCRIPTOR.replace("multi(2", "multi(1"), "checksum is"),
        (BODY.replace("wsh(", "tr("), "kinds known here"),
        (BODY.replace("wsh(", "sh(wsh("), "kinds known here"),
        (BODY.replace("sortedmulti", "multi_a"), "not recognised is multi_a"),
        (BODY.replace("multi(2", "multi(02"), "kinds known here"),
        (BODY.replace("multi(2", "multi(0"), "kinds known here"),
        (BODY.replace("multi(2", "multi(-1"), "kinds known here"),
        (BODY.replace("multi(2", "multi(٢"), "kinds known here"),
        (BODY[:-1], "kinds known here"),
        (BODY + ")", "kinds known here"),
        ("", "kinds known here"),
        (BODY.replace("multi(2", "multi(4"), "4 of 3 keys"),
        (BODY.replace("<0;1>", "0"), "key 1 must derive .* not '/0/\\*'"),
        (BODY.replace("/<0;1>/*", ""), "key 1 must derive .* not ''"),
        (BODY.replace("<0;1>", "<1;1>"), "key 1 has the keychains <1;1>"),
        (BODY.replace("<0;1>", "<0;01>"), "key 1 must derive"),
        (BODY.replace("<0;1>", "<0;1;2>"), "key 1 must derive"),
        (BODY.replace("<0;1>", "<0;1h>"), "key 1 must derive"),
        (BODY.replace("<0;1>", f"<0;{2**31}>"), f"to {2**31 - 1} are needed"),
        (BODY.replace("/*", "/*h"), "key 1 must derive"),
        (BODY.replace("/<0;1>/*)", "/<0;1>/5)"), "key 3 must derive"),
        (BODY.replace(TPUB, XPUB), "key 1: .* another network"),
        (BODY.replace(TPUB, "xprv" + TPUB[4:]), "key 1: this is a private key"),
        (BODY.replace(TPUB, "Zpub" + TPUB[4:]), "key 1: the extended key is mistyped"),
        (BODY.replace(TPUB, TPUB[:-1]), "key 1: "),
        (
            BODY.replace("[" + POLICY.keys[0].fingerprint.hex() + "/48h/1h/0h/2h]", ""),
            "key 1: a key",
        ),
        (BODY.replace(",[", ",,[", 1), "key 1|key 2|must be written"),
    ],
)
def test_another_descriptor_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        parse_descriptor(text, Network.REGTEST)


def test_a_character_no_descriptor_has_is_refused() -> None:
    with pytest.raises(PolicyError, match="character"):
        parse_descriptor(BODY.replace("wsh", "wsé") + "#qqqqqqqq", Network.REGTEST)


@given(st.text(max_size=60))
def test_no_text_fails_otherwise_than_with_a_policy_error(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_descriptor(text, Network.REGTEST)


def test_a_policy_has_1_to_15_keys_and_not_more_signatures() -> None:
    keys = soft_vault(1, 15).policy.keys
    Policy(15, keys, Network.REGTEST)
    extra = POLICY.keys[0]._replace(key=extra_key())
    for threshold, cosigners in ((0, keys), (16, keys), (1, ()), (0, ()), (1, (*keys, extra))):
        with pytest.raises(PolicyError, match=f"{threshold} of {len(cosigners)} keys"):
            Policy(threshold, cosigners, Network.REGTEST)


def extra_key() -> ExtendedPublicKey:
    return master(b"one more").at(bip48_path(Network.REGTEST)).public()


def test_one_key_does_not_sign_twice() -> None:
    first, second, third = POLICY.keys
    with pytest.raises(PolicyError, match="keys 1 and 3 are the same key"):
        Policy(2, (first, second, first), Network.REGTEST)
    renamed = first._replace(fingerprint=b"\x01\x02\x03\x04")
    with pytest.raises(PolicyError, match="keys 2 and 3 are the same key"):
        Policy(2, (second, first, renamed), Network.REGTEST)
    same_origin = third._replace(fingerprint=first.fingerprint)
    assert Policy(2, (first, second, same_origin), Network.REGTEST).keys[2] == same_origin


def test_what_a_key_is_itself_is_refused_before_what_it_is_to_others() -> None:
    first, _, third = POLICY.keys
    with pytest.raises(PolicyError, match="key 3 has the keychains <1;1>"):
        Policy(2, (first, first, third), Network.REGTEST, keychains=((0, 1), (0, 1), (1, 1)))


def test_keys_are_the_same_if_point_and_chain_code_are() -> None:
    first, second, third = POLICY.keys
    other = third._replace(key=third.key._replace(public_key=first.key.public_key))
    assert len(Policy(2, (first, second, other), Network.REGTEST).keys) == 3
    twin = other._replace(key=other.key._replace(chain_code=first.key.chain_code))
    with pytest.raises(PolicyError, match="the same key"):
        Policy(2, (first, second, twin), Network.REGTEST)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"public_key": bytes(33)}, "no point"),
        ({"public_key": b"\x02" * 32}, "33, 32 and 4 bytes"),
        ({"chain_code": bytes(31)}, "33, 32 and 4 bytes"),
        ({"parent_fingerprint": bytes(3)}, "33, 32 and 4 bytes"),
        ({"depth": 3}, "4 steps, the key has depth 3"),
        ({"depth": 256}, "no key has depth 256"),
        ({"depth": -1}, "no key has depth -1"),
        ({"child_number": 2**32}, "no key has .* number 4294967296"),
        ({"child_number": 2}, "which is number 2"),
    ],
)
def test_a_key_that_cannot_be_is_refused(change: dict[str, object], reason: str) -> None:
    first, *others = POLICY.keys
    broken = first._replace(key=first.key._replace(**change))
    with pytest.raises(PolicyError, match=reason):
        Policy(2, (broken, *others), Network.REGTEST)


def test_a_fingerprint_has_four_bytes() -> None:
    first, *others = POLICY.keys
    with pytest.raises(PolicyError, match="4 bytes, not 5"):
        Policy(2, (first._replace(fingerprint=bytes(5)), *others), Network.REGTEST)


def test_a_policy_is_a_value() -> None:
    twin = parse_descriptor(DESCRIPTOR, Network.REGTEST)
    assert hash(twin) == hash(POLICY)
    with pytest.raises(AttributeError):
        twin.threshold = 1
