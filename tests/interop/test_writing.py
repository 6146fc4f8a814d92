"""What is written for other wallets: read back it is the same wallet, in the shape they publish."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.errors import UsageError
from coordinator.foreign_json import Field
from coordinator.interop import core, jade, writing
from coordinator.interop.recognition import read_text
from coordinator.interop.wallet_file import WalletFile, first_address, is_same_wallet, wallet_of
from psbt.keys import HARDENED, format_xpub
from psbt.network import Network
from tests.psbt.soft_vault import soft_vault

POLICY = soft_vault(2, 3).policy
HERE = POLICY.network
WALLET = wallet_of(POLICY, "family", ("blue", "red", "green"))
FORMATS = writing.FORMATS
SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
JADE_PUBLISHED = (
    "multisig_reg_1of1.json",
    "multisig_reg_15of15.json",
    "multisig_reg_ss_qr_example.json",
)


def written(format_: str, wallet: WalletFile = WALLET) -> str:
    return "\n".join(writing.write(wallet, HERE, format_))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("threshold", [1, 3])
def test_what_is_written_is_read_as_the_same_wallet(format_: str, threshold: int) -> None:
    wallet = replace(WALLET, threshold=threshold)
    found = read_text(written(format_, wallet), HERE)
    assert is_same_wallet(found, wallet)
    assert [(each.fingerprint, each.path) for each in found.keys] == [
        (each.fingerprint, each.path) for each in wallet.keys
    ]
    assert found.repairs == ()
    assert {each.code for each in found.warnings} <= {"other_test_network"}


@pytest.mark.parametrize("script", ["sh-wsh", "sh"])
@pytest.mark.parametrize("format_", FORMATS)
def test_other_scripts_are_written_and_read_alike(format_: str, script: str) -> None:
    wallet = replace(WALLET, script=script)
    found = read_text(written(format_, wallet), HERE)
    assert is_same_wallet(found, wallet)
    assert first_address(found, HERE) == first_address(wallet, HERE)


@pytest.mark.parametrize(
    "format_", ["descriptor", "pair", "core", "bsms", "specter", "bip388", "jade", "ur", "bbqr"]
)
def test_the_order_of_multi_is_kept(format_: str) -> None:
    turned = replace(WALLET, sorted=False, keys=WALLET.keys[::-1])
    assert is_same_wallet(read_text(written(format_, turned), HERE), turned)


@pytest.mark.parametrize("format_", ["coldcard", "caravan", "electrum"])
def test_a_format_that_always_sorts_takes_no_multi(format_: str) -> None:
    with pytest.raises(ValueError, match="always sorted"):
        written(format_, replace(WALLET, sorted=False))


@pytest.mark.parametrize("format_", sorted({*FORMATS} - writing.USUAL_ALONE))
def test_other_keychains_are_written_and_read_alike(format_: str) -> None:
    wallet = with_keychains((4, 5), (4, 5), (4, 5))
    assert is_same_wallet(read_text(written(format_, wallet), HERE), wallet)


@pytest.mark.parametrize("format_", sorted(writing.USUAL_ALONE))
def test_a_format_of_the_usual_keychains_takes_no_other(format_: str) -> None:
    with pytest.raises(UsageError, match="0 and 1 alone; key red has 4 and 5"):
        written(format_, with_keychains((0, 1), (4, 5), (0, 1)))


def test_bsms_has_the_same_keychains_for_all_keys() -> None:
    with pytest.raises(UsageError, match="different keychains"):
        written("bsms", with_keychains((0, 1), (4, 5), (0, 1)))


def with_keychains(*pairs: tuple[int, int]) -> WalletFile:
    keys = zip(WALLET.keys, pairs, strict=True)
    return replace(WALLET, keys=tuple(key._replace(keychains=pair) for key, pair in keys))


def test_an_unknown_format_is_named_with_those_there_are() -> None:
    with pytest.raises(
        UsageError, match=r"unknown format 'qr'; expected one of descriptor, .*json"
    ):
        written("qr")


def test_core_takes_both_keychains_watched_from_the_beginning() -> None:
    receive, change = json.loads(written("core"))
    assert [each["internal"] for each in (receive, change)] == [False, True]
    assert {each["timestamp"] for each in (receive, change)} == {0}
    assert all(each["active"] and each["range"] == [0, 999] for each in (receive, change))
    assert "/0/*" in receive["desc"]
    assert "#" in change["desc"]


def test_bsms_is_a_template_with_restrictions_and_the_first_address() -> None:
    version, template, restrictions, address = written("bsms").splitlines()
    assert (version, restrictions) == ("BSMS 1.0", "/0/*,/1/*")
    assert template.count("/**") == 3
    assert "#" not in template
    assert address == first_address(WALLET, HERE)


def test_coldcard_names_each_keys_derivation() -> None:
    lines = written("coldcard", replace(WALLET, name="a" * 40)).splitlines()
    assert f"Name: {'a' * 20}" in lines
    assert "Policy: 2 of 3" in lines
    assert "Format: P2WSH" in lines
    assert lines.count("Derivation: m/48'/1'/0'/2'") == 3
    key = POLICY.keys[0]
    assert f"{key.fingerprint.hex().upper()}: {format_xpub(key.key, HERE)}" in lines


def test_caravan_has_the_fields_its_schema_asks_for() -> None:
    said = json.loads(written("caravan"))
    assert said["addressType"] == "P2WSH"
    assert said["quorum"] == {"requiredSigners": 2, "totalSigners": 3}
    assert said["client"] == {"type": "public"}
    key = said["extendedPublicKeys"][0]
    assert set(key) == {"name", "bip32Path", "xpub", "xfp", "method"}
    assert (key["name"], key["bip32Path"]) == ("blue", "m/48'/1'/0'/2'")


def test_electrum_has_the_script_in_its_prefixes() -> None:
    for script, letters in (("wsh", "Vpub"), ("sh-wsh", "Upub"), ("sh", "tpub")):
        said = json.loads(written("electrum", replace(WALLET, script=script)))
        assert said["wallet_type"] == "2of3"
        assert {said[f"x{n}/"]["xpub"][:4] for n in (1, 2, 3)} == {letters}


def test_jade_registers_what_it_is_asked_to() -> None:
    said = json.loads(written("jade", replace(WALLET, name="our family's savings")))
    assert set(said) == {"network", "multisig_name", "descriptor"}
    assert (said["network"], said["multisig_name"]) == ("localtest", "our_family_s_sa")
    assert said["descriptor"]["variant"] == "wsh(multi(k))"
    assert said["descriptor"]["sorted"] is True
    signer = said["descriptor"]["signers"][0]
    assert signer["derivation"] == [48 + HARDENED, 1 + HARDENED, HARDENED, 2 + HARDENED]
    assert signer["path"] == []
    nameless = replace(WALLET, keys=(*WALLET.keys[:2], WALLET.keys[2]._replace(path=None)))
    with pytest.raises(UsageError, match="needs the origin of every key; green has none"):
        written("jade", nameless)


@pytest.mark.parametrize("name", JADE_PUBLISHED)
def test_what_jade_publishes_is_written_again_field_by_field(name: str) -> None:
    file = SHARED / "jade" / "reg" / name
    if not file.exists():
        pytest.skip(f"left out: {file} is not here")
    said = json.loads(file.read_text())["input"]
    network = Network.MAINNET if said["network"] == "mainnet" else Network.SIGNET
    found = read_text(json.dumps(said), network)
    assert json.loads(writing.write(found, network, "jade")[0]) == said


def test_a_registration_can_be_written_on_every_network() -> None:
    assert set(jade.JADE_NETWORKS) == set(Network)


def test_a_policy_names_its_keys_apart_from_its_template() -> None:
    said = json.loads(written("bip388"))
    assert said["descriptor_template"] == "wsh(sortedmulti(2,@0/**,@1/**,@2/**))"
    assert len(said["keys_info"]) == 3


def test_mainnet_keys_are_written_with_their_own_prefixes() -> None:
    policy = replace(POLICY, network=Network.MAINNET)
    wallet = wallet_of(policy, "family", ("a", "b", "c"))
    for format_, letters in (("electrum", "Zpub"), ("coldcard", "xpub")):
        assert letters in writing.write(wallet, Network.MAINNET, format_)[0]


def test_what_a_node_answers_and_is_told_is_read() -> None:
    listed = json.loads(written("core"))
    answer = {"result": {"wallet_name": "w", "descriptors": listed}, "error": None, "id": 1}
    command = f"# For Bitcoin Core\n\nimportdescriptors '{written('core')}'\n"
    for text in (json.dumps(answer), command):
        assert is_same_wallet(read_text(text, HERE), WALLET)
    listed[0]["internal"] = True
    with pytest.raises(ValueError, match=r"internal .change., and its keys derive /0"):
        read_text(json.dumps(listed), HERE)


def test_a_nodes_wallet_gives_its_name_to_a_vault_alone_in_it() -> None:
    other = wallet_of(soft_vault(1, 2).policy, "other", ("a", "b"))
    listed = json.loads(written("core"))
    both = [*listed, *json.loads(writing.write(other, HERE, "core")[0])]
    named = {"wallet_name": "w" * 201, "descriptors": both}
    assert [each.name for each in core.read(Field(named), HERE)] == [None, None]
    with pytest.raises(ValueError, match=r"wallet_name is .* not a text of at most 200"):
        core.read(Field({**named, "descriptors": listed}), HERE)


def test_a_policy_may_have_its_keys_in_fields() -> None:
    said = json.loads(written("bip388"))
    said["keys"] = [
        {
            "root_fingerprint": key.fingerprint.hex(),
            "keypath": "m/48'/1'/0'/2'",
            "xpub": format_xpub(key.key, HERE),
        }
        for key in POLICY.keys
    ]
    del said["keys_info"]
    assert is_same_wallet(read_text(json.dumps(said), HERE), WALLET)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("wsh(sortedmulti(2,@1/**,@0/**,@2/**))", "must appear in order"),
        ("wsh(sortedmulti(2,@0/**,@1/**))", "has 3 keys"),
        ("wsh(sortedmulti(2,@0/**,@1/**,@2))", "@2 .* derives ''"),
        ("wsh(sortedmulti(2,@0/**,@1/**,@2/0/**))", "derives '/0/"),
        ("wsh(sortedmulti(2,@0/**,@1/**,@2/<0;1;2>/*))", "derives '/<0;1;2>"),
        ("wsh(sortedmulti(2,@0/**,@1/**,@2/**,@0/**))", "are the same key"),
        ("wsh(sortedmulti(2,@0/**,@1/**,@2/<2;2>/*))", "two different steps"),
        ("tr(@0/**,{pk(@1/**),pk(@2/**)})", "a taproot wallet"),
    ],
)
def test_a_policy_that_breaks_the_rules_is_refused(template: str, told: str) -> None:
    said = {**json.loads(written("bip388")), "descriptor_template": template}
    with pytest.raises(ValueError, match=told):
        read_text(json.dumps(said), HERE)


def test_coldcards_desc_is_a_descriptor() -> None:
    text = json.dumps({"name": "ms", "desc": written("descriptor")})
    assert read_text(text, HERE).name == "ms"
