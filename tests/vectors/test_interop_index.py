"""Every file of the index of other wallets' files is read as it says, or has its reason here.

Some licences forbid to copy them: they are read where they lie.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from coordinator.errors import NotImportable, UsageError
from coordinator.interop import bbqr, qr_pictures, ur
from coordinator.interop.recognition import read_bytes, read_text
from coordinator.payment import psbt_file
from psbt import codec
from psbt.address import parse_address
from psbt.errors import PolicyError, PsbtError
from psbt.multisig import Multisig, read_multisig, write_multisig
from psbt.network import Network
from psbt.transaction import Transaction
from tests.interop import test_wallet_files

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "index.json").exists(), reason="left out: no ../shared/vectors/interop here"
)
NETWORKS = {
    "main": Network.MAINNET,
    "test": Network.TESTNET4,
    "testnet4": Network.TESTNET4,
    "signet": Network.SIGNET,
    "regtest": Network.REGTEST,
}
SCANNED = ("high_res", "low_res", "bcur_psbt")

HERE = "tests/vectors/test_interop_index.py"
PSBTS = "tests/vectors/test_interop_psbts.py"
BRANCHES = "tests/vectors/test_branch_vectors.py"
READ_BY = {
    **dict.fromkeys(
        test_wallet_files.WALLETS | test_wallet_files.KEYS, "tests/interop/test_wallet_files.py"
    ),
    "PSBT": PSBTS,
    "UR": "tests/interop/test_ur.py",
    "PSBT vectors (Core)": "tests/vectors/test_core_psbt.py",
    "BIP 129 vectors": "tests/interop/test_bsms.py",
    "BIP 370 vectors": "tests/vectors/test_psbt_bips.py",
    "BIP 322 vectors": "tests/vectors/test_bip322.py",
    "BIP 340 vectors": "tests/cards/test_bip340_vectors.py",
    "BIP 388 policy": BRANCHES,
    "descriptor checksum vectors": BRANCHES,
    "miniscript vectors (Core fixed tests as JSON)": BRANCHES,
    **{f"BIP {n} vectors": BRANCHES for n in (174, 371, 373, *range(380, 388), 389, 390, 393)},
    **dict.fromkeys(
        (
            "PSBT v2",
            "PSBT + address (Caravan)",
            "PSBT vectors",
            "BBQr",
            "transaction",
            "QR image (QVGA grey) + UR text",
            "QR image (QVGA grey) + text",
            "Coldcard multisig text in NDEF",
            "BIP 388 policy (Ledger)",
            "BIP 67 vectors",
            "address and key vectors",
        ),
        HERE,
    ),
}
NOT_READ = {
    "Jade expectation for the .dat of the same name": "what a test says of the file beside it",
    "Coldcard settings (not an exchange format)": "no other program reads or writes them",
    "BIP 327 MuSig2 vectors": "no card here signs MuSig2",
    "BIP 328 vectors": "no card here signs MuSig2",
    "BIP 341 wallet vectors": "a taproot wallet is no vault here",
    "BIP 388 policy / PSBT": "MuSig2, taproot and miniscript that is none of our branches",
    "UR CBOR bodies": "keys and digests out of a test, without the messages around them",
    "descriptor / PSBT (taproot)": "a taproot wallet is no vault here",
    "descriptor vectors (Core)": "of each kind of descriptor; branches are held against BIP 380 on",
    "miniscript strings": "miniscript that is none of our branches",
}


def loaded(name: str) -> Any:  # noqa: ANN401 -- whatever the file holds
    return json.loads((FOLDER / name).read_text())


def test_every_format_of_the_index_is_read_by_a_test_or_has_a_reason() -> None:
    formats = {entry["format"] for entry in loaded("index.json")}
    assert formats == READ_BY.keys() | NOT_READ.keys()
    root = Path(__file__).parents[2]
    assert all((root / name).exists() for name in READ_BY.values())


@pytest.mark.parametrize("name", SCANNED)
def test_what_a_jade_saw_is_seen(name: str) -> None:
    raw = zlib.decompress((FOLDER / f"jade/qr/qr_qvga_{name}.dat").read_bytes(), -15)
    seen = qr_pictures.texts_in(Image.frombytes("L", (320, 240), raw))
    assert seen == [loaded(f"jade/qr/qr_qvga_{name}.json")["expected_output"]["text"]]


def test_a_real_scan_comes_together_and_an_overlapped_one_does_not() -> None:
    whole = bbqr.joined((FOLDER / "bbqr/real-scan.txt").read_text().split())
    assert (whole.kind, len(whole.data)) == ("U", 12_518)
    with pytest.raises(UsageError, match="read twice, with different content"):
        bbqr.joined((FOLDER / "coldcard/qr/overlapped-qr.txt").read_text().split())
    with pytest.raises(UsageError):
        ur.joined([loaded("caravan/bcur2-interactions.json")[0]["text"]])


def test_finished_transactions_are_read() -> None:
    files = list((FOLDER / "bbqr").glob("*.txn"))
    assert len(files) == 5
    for file in files:
        assert isinstance(psbt_file.read_finished(file.read_bytes()), Transaction)


def test_what_an_nfc_tag_holds_is_named() -> None:
    data = (FOLDER / "coldcard/qr/ms-import.ndef").read_bytes()
    with pytest.raises(NotImportable, match="what an NFC tag holds"):
        read_bytes(data, Network.MAINNET, "tag")


def test_what_a_ledger_registers_is_read() -> None:
    for case in loaded("ledger/register_wallet.json"):
        said = {name: case[name] for name in ("name", "policy", "keys")}
        found = read_text(json.dumps(said), Network.TESTNET4)
        assert found.name == case["name"]
        assert len(found.keys) == len(case["keys"]) or "older" in case["policy"]


def test_keys_are_sorted_as_bip_67_says() -> None:
    for case in loaded("core/rpc_bip67.json"):
        keys = sorted(bytes.fromhex(key) for key in case["keys"])
        assert [key.hex() for key in keys] == case["sorted_keys"]
        script = read_multisig(bytes.fromhex(case["script"]))
        assert script is not None
        assert write_multisig(Multisig(script.threshold, tuple(keys))).hex() == case["script"]


def test_core_s_addresses_are_read_and_its_invalid_ones_refused() -> None:
    read = 0
    for text, script, about in loaded("core/key_io_valid.json"):
        if not about["isPrivkey"]:
            read += 1
            assert parse_address(text, NETWORKS[about["chain"]]).hex() == script
    assert read == 54
    for (text,) in loaded("core/key_io_invalid.json"):
        for network in NETWORKS.values():
            with pytest.raises(PolicyError):
                parse_address(text, network)


def test_the_psbts_of_hwi_jade_and_caravan_are_read_and_written() -> None:
    cases = loaded("hwi/test_psbt.json")
    assert (len(cases["valid"]), len(cases["invalid"])) == (53, 67)
    for text in cases["invalid"]:
        with pytest.raises(PsbtError):
            codec.parse(text)
    jade = loaded("jade/psbt/psbt_ss_p2pkh_v2.json")
    texts = [*cases["valid"], jade["input"]["psbt"], jade["expected_output"]["psbt"]]
    for wallet in loaded("caravan/multisigs.json"):
        texts += [value for name, value in wallet.items() if name.lower().startswith("psbt")]
    for text in filter(lambda each: isinstance(each, str) and each, texts):
        psbt = codec.parse(text)
        for version in (0, 2):
            again = codec.parse(codec.to_bytes(psbt, version))
            assert codec.to_bytes(again) == codec.to_bytes(psbt)
