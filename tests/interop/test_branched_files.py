"""Vaults with branches that open later, as other wallets write them: read, or refused by name."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from coordinator.errors import NotImportable, UsageError
from coordinator.interop import descriptors, writing
from coordinator.interop.recognition import read_text
from coordinator.interop.wallet_file import policy_of, wallet_of
from psbt.errors import PolicyError
from psbt.forms import Wait, key_uses
from psbt.keys import format_key_expression
from psbt.miniscript import outline
from psbt.network import Network
from psbt.policy import RECEIVE, Branch, Policy, addresses, checksum, format_descriptor
from tests.psbt.soft_vault import soft_vault

LIANA = Path(__file__).parents[3] / "shared" / "vectors" / "interop" / "liana" / "descriptors.json"
READ = {0, 2, 4, 5, 6, 8, 9, 18, 20, 22, 24, 26, 30, 35, 39, 45}
TAPROOT = "a taproot wallet"
REFUSED = {
    **dict.fromkeys((1, 3, 7, 10, 11, 12, 19, 21, 23, 25, 27, 29, 38, 47), TAPROOT),
    **dict.fromkeys((13, 15, 16, 17), "not recognised is andor"),
    14: "not recognised is pk",
    28: "3 recovery branches, of which 2 at most",
    34: "mixes keys of two networks",
    46: "not recognised is c:or_i",
}
NETWORK = Network.REGTEST
KEYS = soft_vault(2, 6).policy.keys
ORIGINS = [format_key_expression(each, NETWORK) for each in KEYS]
NAMES = tuple(f"key-{number}" for number in range(6))


def policy(*, reuse: bool = False, wait: Wait = Wait(blocks=52_560)) -> Policy:  # noqa: B008 -- a value
    uses = key_uses(KEYS[:2] if reuse else KEYS[3:], key_uses(KEYS[:3]))
    return Policy(2, KEYS[:3], NETWORK, recoveries=(Branch("recovery", 1, uses, wait),))


def descriptor(body: str) -> str:
    return f"{body}#{checksum(body)}"


def written(found: Policy, format_: str) -> str:
    file = wallet_of(found, "family", NAMES[: len(found.all_keys)])
    return "\n".join(writing.write(file, NETWORK, format_))


@pytest.mark.skipif(not LIANA.exists(), reason="no ../shared/vectors/interop here")
def test_every_descriptor_of_liana_is_read_or_refused_by_name() -> None:
    entries = [each for each in json.loads(LIANA.read_text()) if each["kind"] == "descriptor"]
    assert {each["id"] for each in entries} == READ | REFUSED.keys()
    for entry in entries:
        text = entry["text"]
        network = Network.TESTNET4 if "tpub" in text else Network.MAINNET
        if entry["id"] in REFUSED:
            with pytest.raises(PolicyError, match=REFUSED[entry["id"]]):
                read_text(text, network)
        else:
            found = policy_of(read_text(text, network), network)
            assert found.recoveries
            assert all(each.wait and each.wait.blocks for each in found.recoveries)


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize(
    "format_", ["descriptor", "multipath", "pair", "core", "bip388", "bbqr", "ur-output-descriptor"]
)
def test_what_is_written_is_read_as_the_same_vault(
    format_: str,
    reuse: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    made = policy(reuse=reuse)
    found = read_text(written(made, format_), NETWORK)
    assert format_descriptor(policy_of(found, NETWORK)) == format_descriptor(made)


@pytest.mark.parametrize(
    "format_",
    ["bsms", "coldcard", "caravan", "specter", "specter-diy", "electrum", "sparrow", "ur"],
)
def test_a_format_that_knows_no_branches_is_refused(format_: str) -> None:
    with pytest.raises(UsageError, match="knows no branches that open later"):
        written(policy(), format_)


def test_a_template_of_bsms_leaves_the_keychains_of_every_branch_to_its_restrictions() -> None:
    text = format_descriptor(policy()).partition("#")[0]
    first = next(addresses(policy(), RECEIVE, [0]))
    bare = text.replace("/<0;1>/*", "")
    record = f"BSMS 1.0\n{descriptor(bare)}\n/0/*,/1/*\n{first}\n"
    found = read_text(record, NETWORK)
    assert (policy_of(found, NETWORK), found.repairs) == (policy(), ())
    with pytest.raises(PolicyError, match="of other keys; its keys give"):
        read_text(record.replace("/0/*,/1/*", "/2/*,/3/*"), NETWORK)
    apart = policy_of(read_text(record.replace("/1/*", "/5/*"), NETWORK), NETWORK)
    assert format_descriptor(apart).partition("#")[0] == text.replace("<0;1>", "<0;5>")


def test_receive_and_change_in_two_descriptors_are_one_vault() -> None:
    made = policy(reuse=True, wait=Wait(height=900_000))
    text = format_descriptor(made).partition("#")[0]
    pair = [re.sub(r"<(\d+);(\d+)>", rf"\{at}", text) for at in (1, 2)]
    for order in (pair, pair[::-1]):
        found = descriptors.wallets([descriptor(each) for each in order], NETWORK)
        assert len(found) == 1
        if order == pair:
            assert policy_of(found[0], NETWORK) == made


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("or_d(multi(2,{0},{1}),and_v(v:pkh({2}),older(4194305)))", "counts time"),
        ("or_d(multi(2,{0},{1}),and_v(v:pkh({2}),after(500000000)))", "is no height"),
        ("or_d(multi(2,{0},{1}),and_v(v:pkh({2}),older(65536)))", "1 to 65535"),
        ("or_d(multi(2,{0},{1}),and_v(v:pkh({2}),sha256({3})))", "not recognised"),
        (
            "or_i(and_v(v:pkh({2}),after(9)),or_d(multi(2,{0},{1}),and_v(v:pkh({3}),older(9))))",
            "blocks in one branch and for a height in another",
        ),
    ],
)
def test_what_is_of_no_known_form_is_named(form: str, told: str) -> None:
    keys = [format_descriptor(policy()).split(",")[at].split(")")[0] for at in (1, 2, 3)]
    text = "wsh(" + form.format(*keys, "00" * 32) + ")"
    with pytest.raises(NotImportable, match=told):
        read_text(text, NETWORK)


def quorum(threshold: int, keys: Sequence[str]) -> str:
    """Return so many of these keys as Nunchuk writes them."""
    return f"pk({keys[0]})" if len(keys) == 1 else f"multi({threshold},{','.join(keys)})"


NUNCHUK = {
    "expanding, 2 of 2 to 2 of 3": (2, 2, 2, 3),
    "decaying, 2 of 3 to 1 of 3": (2, 3, 1, 3),
    "flexible, 2 of 3 to one other key": (2, 3, 1, 1),
    "flexible, one key to 2 of 3": (1, 1, 2, 3),
    "flexible, one key to another": (1, 1, 1, 1),
}
"""What libnunchuk's templates make (nunchukutils.cpp, d601901): m, n, later m, later n."""


@pytest.mark.parametrize("name", NUNCHUK)
@pytest.mark.parametrize("wait", [Wait(blocks=4_320), Wait(height=900_000)], ids=str)
@pytest.mark.parametrize("again", [False, True], ids=["other keys", "the same signers again"])
def test_what_nunchuks_templates_make_is_read(
    name: str,
    wait: Wait,
    again: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    m, n, later_m, later_n = NUNCHUK[name]
    shown = [f"{each}/<0;1>/*" for each in ORIGINS]
    if again:  # another account of the same signer
        shown[n:] = [
            f"{ORIGINS[at][:9]}/48'/1'/1'/2']{each.partition(']')[2]}"
            for at, each in enumerate(shown[n:])
        ]
    first, later = quorum(m, shown[:n]), quorum(later_m, shown[n : n + later_n])
    body = f"wsh(or_d({first},and_v(v:{later},{outline(wait.fragment)})))"
    made = policy_of(read_text(descriptor(body), NETWORK), NETWORK)
    assert [(each.threshold, len(each.keys), each.wait) for each in made.branches] == [
        (m, n, None),
        (later_m, later_n, wait),
    ]
    first_address, other = addresses(made, 0, range(2))
    record = f"BSMS 1.0\n{descriptor(body)}\nNo path restrictions\n"
    assert policy_of(read_text(record + first_address, NETWORK), NETWORK) == made
    with pytest.raises(PolicyError, match="first address"):
        policy_of(read_text(record + other, NETWORK), NETWORK)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("wsh(and_v(v:multi(2,{0},{1}),older(4320)))", "not recognised is and_v"),
        ("wsh(or_d(multi(2,{0},{1}),and_v(v:pk({2}),older(4194305))))", "counts time"),
        ("tr({3},{{multi_a(2,{0},{1}),and_v(v:pk({2}),older(4320))}})", "a taproot wallet"),
    ],
    ids=["nobody before the wait", "a wait in time", "taproot"],
)
def test_other_templates_of_nunchuk_are_refused_by_name(body: str, told: str) -> None:
    text = body.format(*(f"{each}/<0;1>/*" for each in ORIGINS))
    with pytest.raises((NotImportable, PolicyError), match=told):
        read_text(descriptor(text), NETWORK)


def test_the_form_of_nunchuk_is_read() -> None:
    first, second, third = (
        format_descriptor(policy()).split(",")[at].split(")")[0] for at in (1, 2, 3)
    )
    later = third.replace("<0;1>", "<2;3>")
    body = f"wsh(andor(ln:older(100),multi(1,{later}),multi(2,{first},{second})))"
    found = policy_of(read_text(body, NETWORK), NETWORK)
    assert [(each.name, each.threshold, each.wait) for each in found.branches] == [
        ("primary", 2, None),
        ("recovery", 1, Wait(blocks=100)),
    ]
    assert format_descriptor(found).startswith("wsh(andor(ln:older(100)")
