import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psbt.bech32 import CHARSET, encode
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import format_address, parse_address, script_type
from psbt.weight import dust_limit_sats
from tests.judges import judge

wally = judge("wallycore")
embit_script = judge("embit.script")
bech32 = judge("embit.bech32")

HASH = hashlib.sha256(b"a script").digest()
SCRIPTS = {
    "p2wsh": b"\x00\x20" + HASH,
    "p2wpkh": b"\x00\x14" + HASH[:20],
    "p2tr": b"\x51\x20" + HASH,
    "p2sh": b"\xa9\x14" + HASH[:20] + b"\x87",
    "p2pkh": b"\x76\xa9\x14" + HASH[:20] + b"\x88\xac",
}
LATER = [b"\x51\x02\x4e\x73", b"\x52\x20" + HASH, b"\x60\x28" + bytes(40), b"\x51\x14" + HASH[:20]]
NO_ADDRESS = [
    b"",
    b"\x00",
    b"\x6a\x04data",
    b"\x00\x15" + HASH[:21],
    b"\x51\x01\x00",
    b"\x51\x29" + bytes(41),
    b"\x51\x20" + HASH[:31],
    b"\x61\x20" + HASH,
    b"\x50\x20" + HASH,
    SCRIPTS["p2sh"][:-1] + b"\x88",
    SCRIPTS["p2pkh"] + b"\x00",
    b"\x21" + b"\x02" + HASH + b"\xac",
]
HRPS = {
    Network.MAINNET: "bc",
    Network.TESTNET4: "tb",
    Network.SIGNET: "tb",
    Network.REGTEST: "bcrt",
}
programs = st.one_of(
    st.tuples(
        st.just(0), st.sampled_from([20, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n))
    ),
    st.tuples(st.integers(1, 16), st.binary(min_size=2, max_size=40)),
)


@pytest.mark.parametrize("network", Network)
@pytest.mark.parametrize("kind", SCRIPTS)
def test_every_standard_script_has_an_address(kind: str, network: Network) -> None:
    script = SCRIPTS[kind]
    assert script_type(script) == kind
    address = format_address(script, network)
    assert embit_script.address_to_scriptpubkey(address).data == script
    assert parse_address(address, network) == script


@pytest.mark.parametrize("script", LATER, ids=bytes.hex)
def test_a_later_witness_program_has_an_address(script: bytes) -> None:
    assert script_type(script) == "witness"
    address = format_address(script, Network.MAINNET)
    assert bytes(wally.addr_segwit_to_bytes(address, "bc", 0)) == script
    assert parse_address(address, Network.MAINNET) == script


@pytest.mark.parametrize("script", NO_ADDRESS, ids=bytes.hex)
def test_other_scripts_have_none(script: bytes) -> None:
    assert script_type(script) == "unknown"
    with pytest.raises(PolicyError, match=f"{len(script)} bytes has no address"):
        format_address(script, Network.REGTEST)


@given(programs, st.sampled_from(Network))
def test_segwit_addresses_are_those_of_the_reference(
    program: tuple[int, bytes], network: Network
) -> None:
    version, data = program
    address = encode(network.hrp, version, data)
    assert address == bech32.encode(HRPS[network], version, data)
    script = bytes([version + 0x50 if version else 0, len(data)]) + data
    assert parse_address(address, network) == script
    assert parse_address(address.upper(), network) == script


@given(programs, st.data())
def test_up_to_four_wrong_characters_are_noticed(
    program: tuple[int, bytes], data: st.DataObject
) -> None:
    address = encode("bcrt", *program)
    letters = list(address)
    places = data.draw(st.sets(st.integers(5, len(address) - 1), min_size=1, max_size=4))
    for place in places:
        others = [letter for letter in CHARSET.decode() if letter != address[place]]
        letters[place] = data.draw(st.sampled_from(others))
    with pytest.raises(PolicyError):
        parse_address("".join(letters), Network.REGTEST)


@pytest.mark.parametrize("network", Network)
@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_address_of_another_network_is_named(kind: str, network: Network) -> None:
    for other in Network:
        address = format_address(SCRIPTS[kind], other)
        if address == format_address(SCRIPTS[kind], network):
            continue
        with pytest.raises(PolicyError, match=rf"is for .*{other}.*, not for {network}$"):
            parse_address(address, network)


def bech32m_for_version_0() -> str:
    data = [0, *bech32.convertbits(HASH, 8, 5)]
    return bech32.bech32_encode(bech32.Encoding.BECH32M, "bcrt", data)


def bech32_for_version_1() -> str:
    data = [1, *bech32.convertbits(HASH, 8, 5)]
    return bech32.bech32_encode(bech32.Encoding.BECH32, "bcrt", data)


def padded_with_a_one() -> str:
    data = [0, *bech32.convertbits(HASH, 8, 5)]
    return bech32.bech32_encode(bech32.Encoding.BECH32, "bcrt", [*data[:-1], data[-1] | 1])


def with_five_bits_more() -> str:
    data = [0, *bech32.convertbits(HASH[:20], 8, 5), 0]
    return bech32.bech32_encode(bech32.Encoding.BECH32, "bcrt", data)


def of_version(version: int, size: int) -> str:
    data = [version, *bech32.convertbits(bytes(size), 8, 5)]
    coding = bech32.Encoding.BECH32M if version else bech32.Encoding.BECH32
    return bech32.bech32_encode(coding, "bcrt", data)


SEGWIT = format_address(SCRIPTS["p2wsh"], Network.REGTEST)
BASE58 = format_address(SCRIPTS["p2sh"], Network.REGTEST)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SEGWIT[:-1] + SEGWIT[-1].upper(), "mixes|checksum"),
        (SEGWIT.replace("q", "Q", 1), "mixes capital"),
        ("BCRT" + SEGWIT[4:], "mixes capital"),
        (bech32m_for_version_0(), "checksum"),
        (bech32_for_version_1(), "checksum"),
        (padded_with_a_one(), "checksum"),
        (with_five_bits_more(), "checksum|looks like"),
        (of_version(0, 21), "looks like"),
        (of_version(17, 32), "looks like"),
        (of_version(1, 1), "looks like"),
        (of_version(1, 41), "looks like"),
        (SEGWIT[:8] + "b" + SEGWIT[9:], "looks like"),
        ("bcrt1", "looks like"),
        ("bcrt1qé", "looks like"),
        (SEGWIT[:-1], "looks like|checksum"),
        (BASE58[:-1] + ("1" if BASE58[-1] != "1" else "2"), "checksum"),
        (BASE58[:5] + "l" + BASE58[6:], "checksum"),
        ("", "checksum"),
        ("1" * 35, "checksum"),
        ("x" * 36, "36 characters"),
        (wally.base58check_from_bytes(b"\xc4" + HASH[:19]), "21 bytes, not 20"),
        (wally.base58check_from_bytes(b"\x30" + HASH[:20]), "no network known here"),
    ],
)
def test_what_is_no_address_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        parse_address(text, Network.REGTEST)


@given(st.text(max_size=95))
def test_no_text_fails_otherwise_than_with_a_policy_error(text: str) -> None:
    for start in ("", "bcrt1", "bcrt1q", "2"):
        with pytest.raises(PolicyError):
            parse_address(start + text, Network.REGTEST)


@pytest.mark.parametrize(
    ("script", "sats"),
    [
        (SCRIPTS["p2pkh"], 546),
        (SCRIPTS["p2sh"], 540),
        (SCRIPTS["p2wpkh"], 294),
        (SCRIPTS["p2wsh"], 330),
        (SCRIPTS["p2tr"], 330),
        (LATER[0], 240),
        (LATER[2], 354),
        (b"\x6a\x04data", 0),
        (bytes(10_001), 0),
        (bytes(10_000), 30_477),
        (b"\x51\x29" + bytes(41), 600),
        (b"\x50\x20" + HASH, 573),
        (b"\x61\x20" + HASH, 573),
        (b"\x51\x21" + HASH, 573),
    ],
)
def test_dust_limits_are_those_of_bitcoin_core(script: bytes, sats: int) -> None:
    assert dust_limit_sats(script) == sats
