"""A vault in a leaf of taproot beside other programs: payments to and fro, codes, files, bumps."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from psbt import codec, fields
from psbt.fields import Fields
from psbt.finalizer import finalize
from psbt.network import Network
from psbt.policy import checksum, parse_descriptor
from tests.cli.test_branches import finish, sign
from tests.cli.test_money import STRANGER
from tests.cli.test_taproot import MATRIX, create, fund, leaf_home, pay
from tests.program import Asked, asking, run_program
from tests.psbt.altered import with_inputs, written

__all__ = ["leaf_home"]

OF_A_LEAF = [
    fields.IN_TAP_LEAF_SCRIPT, fields.IN_TAP_BIP32_DERIVATION, fields.IN_TAP_INTERNAL_KEY,
    fields.IN_TAP_MERKLE_ROOT,
]  # fmt: skip
LEFT_OUT = {
    "keys": [fields.IN_TAP_BIP32_DERIVATION],
    "all of the leaf": OF_A_LEAF,
    "everything": [*OF_A_LEAF, fields.IN_WITNESS_UTXO, fields.IN_NON_WITNESS_UTXO],
}


@pytest.fixture(scope="session")
def funded_home(tmp_path_factory: pytest.TempPathFactory, leaf_home: Path) -> Path:
    """A home with such a vault, w, and three coins of a million each."""
    home = tmp_path_factory.mktemp("funded") / "home"
    shutil.copytree(leaf_home, home)
    create(asking(home))
    fund(asking(home), coins=3)
    return home


@pytest.fixture
def here(funded_home: Path, tmp_path: Path) -> Asked:
    shutil.copytree(funded_home, tmp_path / "home")
    return asking(tmp_path / "home")


@pytest.fixture
def there(funded_home: Path, tmp_path: Path) -> Asked:
    """Another home of the same vault and cards: what it does is not known here."""
    shutil.copytree(funded_home, tmp_path / "there")
    return asking(tmp_path / "there")


def without(kinds: list[bytes]) -> Callable[[Fields], Fields]:
    return lambda values: {key: value for key, value in values.items() if key[:1] not in kinds}


def file(folder: Path, data: bytes | str) -> str:
    (folder / "file").write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(folder / "file")


def half_signed(there: Asked, psbt: str, folder: Path, *labels: str) -> str:
    """Import a payment elsewhere and sign it there; return its ceremony."""
    made = there("spend", "import", "w", file(folder, base64.b64decode(psbt)))
    ceremony: str = made["ceremony"]
    sign(there, ceremony, *labels)
    return ceremony


@pytest.mark.parametrize(
    "left_out", ["everything", *(pytest.param(each, marks=MATRIX) for each in [*LEFT_OUT][:2])]
)
@pytest.mark.parametrize("version", [pytest.param(0, marks=MATRIX), 2])
def test_a_payment_made_elsewhere_is_filled_in_and_signed(
    here: Asked, tmp_path: Path, left_out: str, version: int
) -> None:
    dry = here("spend", "create", "w", "--to", f"{STRANGER}:1500000", "--feerate", "2", "--dry-run")
    bare = with_inputs(dry["psbt"], without(LEFT_OUT[left_out]))
    maps = codec.read_maps(bare)
    bare = written(maps._replace(outputs=tuple({} for _ in maps.outputs)))
    data = codec.to_bytes(codec.parse(bare), version)
    made = here("spend", "import", "w", file(tmp_path, data))
    assert [each["kind"] for each in made["review"]["outputs"]].count("change") == 1
    assert made["review"]["fee_sats"] == dry["review"]["fee_sats"]
    assert sign(here, made["ceremony"], "b", "c")["complete"]
    assert finish(here, made["ceremony"])["vsize"] == dry["review"]["vsize"]


@pytest.mark.parametrize(
    "form", ["final PSBT", *(pytest.param(each, marks=MATRIX) for each in ("hex", "signed PSBT"))]
)
def test_what_was_finished_elsewhere_is_sent_or_added(
    here: Asked, there: Asked, tmp_path: Path, form: str
) -> None:
    ceremony = pay(there)
    signed = base64.b64decode(sign(there, ceremony, "a", "b")["psbt"])
    final = there("spend", "finalize", ceremony)
    policy = parse_descriptor(here("vault", "show", "w")["descriptor"], Network.REGTEST)
    forms = {
        "hex": final["hex"].encode(),
        "final PSBT": codec.to_bytes(finalize(codec.parse(signed), policy), 2),
        "signed PSBT": signed,
    }
    told = here("tx", "broadcast", file(tmp_path, forms[form]))
    assert (told["txid"], told["vsize"]) == (final["txid"], final["vsize"])
    assert (told["consensus"], told["fee_sats"]) == ("accepted", final["fee_sats"])
    assert told["spends"] == [{"vault": "w", "coins": 1, "value_sats": 1_000_000}]
    here("regtest", "mine", "1")
    assert here("balance", "w")["confirmed_sats"] == 2_700_000 - final["fee_sats"]


@pytest.mark.parametrize("form", ["hex", pytest.param("final PSBT", marks=MATRIX)])
def test_a_payment_of_this_home_comes_back_finished(
    here: Asked, there: Asked, tmp_path: Path, form: str
) -> None:
    ceremony = pay(here)
    asked = here("spend", "export", ceremony)["psbt"]
    other = half_signed(there, asked, tmp_path, "a", "c")
    final = there("spend", "finalize", other)
    signed = there("spend", "show", other)["psbt"]
    policy = parse_descriptor(here("vault", "show", "w")["descriptor"], Network.REGTEST)
    data = bytes.fromhex(final["hex"])
    if form == "final PSBT":
        data = codec.to_bytes(finalize(codec.parse(signed), policy), 0)
    assert here("spend", "add", ceremony, file(tmp_path, data))["have"] == 2
    assert finish(here, ceremony)["txid"] == final["txid"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("ur", ("--psbt-version", "2")),
        *(pytest.param(form, words, marks=MATRIX) for form, words in (
            ("hex", ("--slim", "--psbt-version", "2")), ("base64", ("--slim",)), ("pmofn", ()),
            ("bbqr", ("--psbt-version", "2")), ("bbqr", ("--slim",)), ("ur", ("--slim",)),
        )),
    ],
)  # fmt: skip
def test_a_payment_goes_out_and_comes_back_in_any_form(
    here: Asked, there: Asked, tmp_path: Path, form: str, words: tuple[str, ...]
) -> None:
    ceremony = pay(here)
    out = here("spend", "export", ceremony, "--format", form, *words)
    made = there("spend", "import", "w", "-", stdin="\n".join(reversed(out["parts"])))
    sign(there, made["ceremony"], "b")
    back = there("spend", "export", made["ceremony"], "--format", form, *words)
    taken = here("spend", "add", ceremony, file(tmp_path, "\n".join(back["parts"])))
    assert (taken["have"], taken["signed_by"]) == (1, here("spend", "show", ceremony)["signed_by"])
    sign(here, ceremony, "a")
    finish(here, ceremony)


def test_signatures_of_another_type_or_leaf_are_refused_by_field(
    here: Asked, there: Asked, tmp_path: Path
) -> None:
    ceremony = pay(here)
    asked = here("spend", "export", ceremony)["psbt"]
    other = half_signed(there, asked, tmp_path, "a")
    signed = there("spend", "export", other)["psbt"]

    def with_type(values: Fields) -> Fields:
        kind = fields.IN_TAP_SCRIPT_SIG
        return {k: v + b"\x01" if k[:1] == kind else v for k, v in values.items()}

    def of_other_leaf(values: Fields) -> Fields:
        kind = fields.IN_TAP_SCRIPT_SIG
        return {k[:-1] + b"\0" if k[:1] == kind else k: v for k, v in values.items()}

    for change in (with_type, of_other_leaf):
        data = with_inputs(signed, change)
        refused = here("spend", "add", ceremony, file(tmp_path, data), check=5)["error"]
        assert "inputs[0].taproot_sigs" in refused["message"], refused
        assert here("spend", "show", ceremony)["have"] == 0
    assert here("spend", "add", ceremony, file(tmp_path, base64.b64decode(signed)))["have"] == 1


def test_a_payment_is_bumped_helped_and_taken_back(here: Asked) -> None:
    first = pay(here)
    sign(here, first, "a", "b")
    here("spend", "finalize", first)
    txid = here("spend", "broadcast", first)["txid"]
    helped = here("spend", "accelerate", txid, "--feerate", "9")
    assert helped["package_feerate"] in range(9_000, 9_020)
    here("spend", "abandon", helped["ceremony"])
    cancelled = here("spend", "cancel", first, "--feerate", "6")
    assert sign(here, cancelled["ceremony"], "b", "c")["complete"]
    final = finish(here, cancelled["ceremony"])
    assert here("balance", "w")["confirmed_sats"] == 3_000_000 - final["fee_sats"]
    assert here("spend", "show", first)["state"] == "replaced"


@pytest.mark.parametrize("shape", ["primes", "pair", "listed", "Nunchuk", "BIP 388"])
def test_another_wallets_file_of_it_is_the_same_vault(
    here: Asked, tmp_path: Path, shape: str
) -> None:
    descriptor = here("vault", "show", "w")["descriptor"]
    body = descriptor.partition("#")[0]
    pair = [body.replace("<0;1>", each) for each in "01"]
    primes = body.replace("h/", "'/").replace("h]", "']")
    listed = [{"desc": f"{each}#{checksum(each)}", "timestamp": 1} for each in pair]
    shapes = {
        "primes": f"{primes}#{checksum(primes)}",
        "pair": "\n".join(pair),
        "listed": json.dumps({"wallet_name": "x", "descriptors": listed}),
        "Nunchuk": json.dumps({"wallet_type": "MULTI_SIG", "descriptor": body, "m": 2, "n": 3}),
        "BIP 388": run_program(here.home, "vault", "export", "w", "--format", "bip388").out,
    }
    again = here("vault", "import", file(tmp_path, shapes[shape]), "--name", "x")
    assert (again["name"], again["descriptor"]) == ("w", descriptor)
    wrong = shapes[shape].replace("sortedmulti_a(2", "sortedmulti_a(1")
    if shape in ("pair", "BIP 388"):
        other = here("vault", "import", file(tmp_path, wrong), "--name", "x")
        assert (other["name"], other["threshold"]) == ("x", 1)
    else:
        here("vault", "import", file(tmp_path, wrong), "--name", "x", check=5)


def test_the_audit_tells_that_no_other_program_signs_for_it(here: Asked, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    found = here("audit", "w", "--fail-on", "none", "--html", str(page), "--at", "2030-01-01")
    said = {each["code"]: each for each in found["findings"]}
    assert "0 keys can sign and 2 are needed" in said["no_other_software"]["message"]
    assert found["timeline"] == []
    assert "no other program is known that signs" in page.read_text()


@MATRIX
def test_the_coins_of_a_replaced_vault_are_swept(here: Asked) -> None:
    enrol_words = ("--profile", "4.0")
    here("emulate", "new", "keycard", "d", *enrol_words)
    here("card", "enrol", "d", "--emulated", "d", "--path", "48h/1h/0h/3h", "--pin-stdin",
         stdin="d=123456")  # fmt: skip
    old = here("address", "new", "w", "--accept", "keys_unproved", "--accept", "no_copy")["address"]
    started = here("replace", "start", "w", "--card", "c", "--with", "d", "--feerate", "2",
                   "--accept", "keys_unproved", "--accept", "no_copy")  # fmt: skip
    assert sign(here, started["ceremony"], "a", "b")["complete"]
    finish(here, started["ceremony"])
    assert here("vault", "show", started["successor"])["script"] == "tr"
    here("regtest", "fund", old, "500000")
    here("regtest", "mine", "1")
    here("sync", "w")
    swept = here("replace", "sweep", "w", "--feerate", "2")
    assert sign(here, swept["ceremony"], "a", "b")["complete"]
    finish(here, swept["ceremony"])
