"""Variants of each format, made by its rules: the same wallet with what was odd, or a refusal.

A refusal says what was found and, where something else is meant, what to do; a private key is
never kept. The keys are this repository's own.
"""

import base64
import json
import re
import zlib
from collections.abc import Callable
from itertools import chain

import cbor2
import pytest

from coordinator.errors import CoordinatorError
from coordinator.interop import bbqr, ur
from coordinator.interop.recognition import read_bytes, read_keys
from coordinator.interop.wallet_file import WalletFile, is_same_wallet
from psbt.errors import PolicyError
from psbt.keys import PREFIXES, format_xpub
from tests.interop.test_dialects import BODY, HERE, WALLET, codes, sealed, written

DESCRIPTOR, RECEIVE, CHANGE = written("descriptor"), *written("pair").splitlines()
COLDCARD, BSMS = written("coldcard"), written("bsms").splitlines()
XPUBS = [format_xpub(key.key, HERE) for key in WALLET.keys]
PRINTS = [(key.fingerprint or b"").hex() for key in WALLET.keys]
PATHS = ["Derivation: m/48'/1'/0'/2'"] * 3
KEYS = [f"{each.upper()}: {xpub}" for each, xpub in zip(PRINTS, XPUBS, strict=True)]
HEAD = ["Name: family", "Policy: 2 of 3", "Format: P2WSH"]
XPRV = "tprv8Z" + XPUBS[0][6:]
UNKNOWN = ["origin_unknown"] * 3


def with_prefix(text: str, letters: str) -> str:
    """Return a text with its keys under another prefix of SLIP 132."""
    version = next(each for each, prefix in PREFIXES.items() if prefix.letters == letters)
    for key, xpub in zip(WALLET.keys, XPUBS, strict=True):
        text = text.replace(xpub, format_xpub(key.key, HERE, version))
    return text


def changed(format_: str, **members: object) -> str:
    return json.dumps({**json.loads(written(format_)), **members})


def of_stores(**members: object) -> str:
    """Return an Electrum wallet with these members in each of its stores."""
    found = json.loads(written("electrum"))
    stores = {name: {**found[name], **members} for name in ("x1/", "x2/", "x3/")}
    return json.dumps({**found, **stores})


def of_caravan(**members: object) -> str:
    """Return a Caravan wallet with these members in each of its keys."""
    keys = json.loads(written("caravan"))["extendedPublicKeys"]
    return changed("caravan", extendedPublicKeys=[{**key, **members} for key in keys])


def bsms(**lines: str) -> str:
    found = dict(zip(("version", "body", "restrictions", "address"), BSMS, strict=True))
    return "\n".join({**found, **lines}.values())


def in_ur(text: str) -> str:
    return ur.split(ur.Message("bytes", cbor2.dumps(text.encode())), 9_000)[0]


def in_bbqr(data: bytes, kind: str = "U", encoding: str = "2") -> str:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(data) + packer.flush() if encoding == "Z" else data
    body = base64.b32encode(packed).decode().rstrip("=")
    return f"B${encoding}{kind}0100{data.hex().upper() if encoding == 'H' else body}"


UR_PARTS = ur.split(ur.joined(written("ur").splitlines()), 60)
OTHER_PARTS = ur.split(ur.Message("bytes", cbor2.dumps(COLDCARD.encode())), 60)
BBQR_PARTS = bbqr.split(COLDCARD.encode(), "U", 200)
INNER = {"wallet": {"kept": [json.loads(written("caravan"))]}}
SPECTER = {
    "name": "family", "recv_descriptor": RECEIVE, "change_descriptor": CHANGE, "sigs_required": 2,
    "keys": [{}, {}, {}], "address": BSMS[3], "address_index": 0,
}  # fmt: skip
PRIMES = BODY.replace("h/", "QUOTE/").replace("h]", "QUOTE]")
SHELL = "'\\''"
"""A single quote within single quotes."""
WINDOWS = 'bitcoin-cli importdescriptors "{}"'.format(written("core").replace('"', '\\"'))

SAME: dict[str, tuple[str | bytes, list[str]]] = {
    "in UTF-16": (DESCRIPTOR.encode("utf-16"), []),
    "behind what nobody sees": (f"\u200b{DESCRIPTOR}\n\ufeff", []),
    "listed in JSON": (json.dumps([RECEIVE, CHANGE]), []),
    "listed twice in JSON": (json.dumps([DESCRIPTOR, DESCRIPTOR]), []),
    "quoted": (f'"{DESCRIPTOR}",', []),
    "as code": (f"```\n{DESCRIPTOR}\n```", []),
    "in a list": (f"- {RECEIVE}\n- `{CHANGE}`", []),
    "labelled, quoted": (f"descriptor = '{DESCRIPTOR}'", []),
    "pair on a line": (f"{RECEIVE} {CHANGE}", []),
    "pair with a comma": (f"{RECEIVE},{CHANGE}", []),
    "bare pair on a line": (f"{RECEIVE.partition('#')[0]}; {CHANGE.partition('#')[0]}", []),
    "behind comments": (f"// mine\n; too\n-- and\n# this\n{DESCRIPTOR}", []),
    "capital H": (BODY.replace("h/", "H/").replace("h]", "H]"), []),
    "mixed marks": (BODY.replace("48h", "48'"), []),
    "capital fingerprints": (re.sub(r"\[(.{8})", lambda found: found[0].upper(), BODY), []),
    "zero fingerprints": (re.sub(r"\[.{8}", "[00000000", BODY), UNKNOWN),
    "without origins": (re.sub(r"\[[^]]*\]", "", BODY), UNKNOWN),
    "short children": (BODY.replace("/<0;1>/*", "/**"), []),
    "receive alone": (BODY.replace("<0;1>", "0"), ["change_assumed"]),
    "Vpub": (with_prefix(BODY, "Vpub"), []),
    "vpub": (with_prefix(BODY, "vpub"), ["prefix_of_single_key"] * 3),
    "annotated, unknown": (sealed(f"{BODY}?zz=3"), []),
    "Coldcard, small letters": (re.sub("(?m)^[A-Z][a-z]+:", lambda m: m[0].lower(), COLDCARD), []),
    "Coldcard, Macintosh": (COLDCARD.replace("\n", "\r").encode("utf-8-sig"), []),
    "Coldcard, one path, last": ("\n".join((*HEAD, *KEYS, PATHS[0])), []),
    "Coldcard, one path, between": ("\n".join((*HEAD, KEYS[0], PATHS[0], *KEYS[1:])), []),
    "Coldcard, paths behind": (
        "\n".join((*HEAD, *chain.from_iterable(zip(KEYS, PATHS, strict=True)))), [],
    ),
    "Coldcard, no path": ("\n".join((*HEAD, *KEYS)), UNKNOWN),
    "Coldcard, keys first": ("\n".join((PATHS[0], *KEYS, *HEAD)), []),
    "Coldcard, 2-3": (COLDCARD.replace("2 of 3", "2-3"), []),
    "Coldcard, in words": (COLDCARD.replace("2 of 3", "2 of 3 signatures"), []),
    "Coldcard, tabs": (COLDCARD.replace(": ", ":\t"), []),
    "Keystone": (
        "\n".join(("# Keystone Multisig setup file (created on 1)\n#", *HEAD, PATHS[0], *KEYS)), [],
    ),
    "Passport": ("\n\n".join((*HEAD, *map("\n".join, zip(PATHS, KEYS, strict=True)))), []),
    "BlueWallet, paths of their own": (
        "\n".join((*HEAD, *(f"# derivation: {PATHS[0][12:]}\n{key}" for key in KEYS))), [],
    ),
    "BlueWallet, one path of its own": (
        "\n".join((*HEAD, f"{PATHS[0]}/0'", KEYS[0], f"# derivation: {PATHS[0][12:]}", *KEYS[1:])),
        ["origin_differs"] * 2,
    ),
    "Caravan, least": (
        json.dumps({name: json.loads(written("caravan"))[name]
                    for name in ("quorum", "extendedPublicKeys", "addressType")}), [],
    ),
    "Caravan, unknown": (of_caravan(xfp="Unknown", bip32Path="Unknown"), UNKNOWN),
    "Caravan, nothing": (of_caravan(xfp=None, bip32Path=None, name=None), UNKNOWN),
    "Caravan, begins later": (changed("caravan", startingAddressIndex=5), ["starting_index"]),
    "Caravan, signet": (changed("caravan", network="signet"), ["other_test_network"]),
    "BSMS, inside": (json.dumps({"name": "x", "kept": {"record": "\n".join(BSMS)}}), []),
    "Coldcard, inside": (json.dumps([{"text": COLDCARD}, {"text": COLDCARD}]), []),
    "Caravan, inside": (json.dumps(INNER), []),
    "Electrum, UTF-16": (written("electrum").encode("utf-16"), []),
    "Electrum, seeds": (of_stores(seed="zoo " * 12, xprv=XPRV), ["private_material"]),
    "Electrum, unknown": (of_stores(root_fingerprint=None, derivation=None), UNKNOWN),
    "Electrum, h": (of_stores(derivation="m/48h/1h/0h/2h"), []),
    "Specter, own": (json.dumps(SPECTER), []),
    "Specter, no height": (json.dumps({"label": "x", "descriptor": RECEIVE}), []),
    "Specter, a seed too": (
        json.dumps({"label": "x", "descriptor": RECEIVE, "mnemonic": "zoo " * 12}),
        ["private_material"],
    ),
    "Specter, by old ones": (
        json.dumps({"label": "x", "descriptor": BODY.replace("/<0;1>/*", "")}), ["add_children"],
    ),
    "Specter-DIY": (f"ADDWALLET family&\n{BODY.replace('/<0;1>/*', '')}", []),
    "Specter-DIY, as it keeps it": (f"family&{BODY.replace('/<0;1>/*', '')}", []),
    "Nunchuk": (
        json.dumps({"wallet_type": "MULTI_SIG", "descriptor": DESCRIPTOR, "m": 2, "n": 3}), [],
    ),
    "Core, for Windows": (WINDOWS, []),
    "Core, in the console": (f"importdescriptors {written('core')}", []),
    "Core, in a shell": (
        f"bitcoin-cli importdescriptors '{json.dumps([{'desc': PRIMES}])}'".replace("QUOTE", SHELL),
        [],
    ),
    "Core, alone": (json.dumps({"desc": DESCRIPTOR, "timestamp": 0}), []),
    "Core, others too": (
        json.dumps([{"desc": DESCRIPTOR}, {"desc": sealed(f"wpkh({XPUBS[0]}/0/*)")}]),
        ["others_left_out"],
    ),
    "BSMS, no restrictions": (bsms(restrictions="no path restrictions"), []),
    "BSMS, blanks": (bsms(restrictions="/0/*, /1/*"), []),
    "BSMS, receive": (bsms(restrictions="/0/*"), []),
    "BSMS, none": (bsms(restrictions=""), []),
    "BSMS, left to them": (bsms(body=BSMS[1].replace("/**", "")), []),
    "BSMS, whole": (bsms(body=DESCRIPTOR, restrictions="No path restrictions"), []),
    "BSMS, capitals": (bsms(address=BSMS[3].upper()), []),
    "BSMS, Windows": ("\r\n".join(BSMS), []),
    "BIP 388, in full": (
        changed("bip388", descriptor_template=json.loads(written("bip388"))[
            "descriptor_template"].replace("**", "<0;1>/*")), [],
    ),
    "BIP 388, Vpub": (with_prefix(written("bip388"), "Vpub"), []),
    "Liana": (
        json.dumps({"network": "regtest", "accounts": [{"name": "a", "descriptor": DESCRIPTOR}]}),
        [],
    ),
    "UR, capitals": (written("ur").upper(), []),
    "UR, parts": ("\r\n".join(reversed(UR_PARTS)), []),
    "UR, parts of both cases": ("\n".join([UR_PARTS[0].upper(), *UR_PARTS[1:]]), []),
    "UR, bytes of JSON": (in_ur(written("caravan")), []),
    "UR, bytes of lines": (in_ur(COLDCARD), []),
    **{f"BBqr {kind}": (in_bbqr(DESCRIPTOR.encode(), kind), []) for kind in "PTJCUBX"},
    **{f"BBqr {by}": (in_bbqr(COLDCARD.encode(), "U", by), []) for by in "H2Z"},
    "BBqr, parts": ("\n".join((*reversed(BBQR_PARTS), BBQR_PARTS[0])).lower(), []),
    "parts of Specter": (
        "\n".join(f"p{n + 1}of3 {DESCRIPTOR[n * 200 : n * 200 + 200]}" for n in (2, 0, 1)), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_variant_is_the_same_wallet_with_what_was_odd(name: str) -> None:
    text, odd = SAME[name]
    found = read_bytes(text if isinstance(text, bytes) else text.encode(), HERE, "the file")
    assert is_same_wallet(found, WALLET)
    assert codes(found) == odd
    assert "prv" not in repr(found)


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "cut off": (DESCRIPTOR[:-30], "cut off or mistyped: it opens 2 brackets and closes 0"),
    "cut off early": (DESCRIPTOR[:100], "cut off or mistyped"),
    "no checksum behind #": (f"{BODY}#", "not empty, as behind its #"),
    "capital checksum": (DESCRIPTOR[:-8] + DESCRIPTOR[-8:].upper(), "its checksum is"),
    "change alone": (CHANGE, "receive and change must both be told"),
    "hardened children": (BODY.replace("/*", "/*h"), "hardened steps need the private key"),
    "one address": (BODY.replace("<0;1>/*", "0/5"), "one address, not a vault"),
    "no signature": (BODY.replace("(2,", "(0,"), "'0' signatures"),
    "no keys": ("wsh(sortedmulti(2))", "the descriptor has no keys"),
    "a key too few": (BODY.replace("(2,", "(4,"), "4 of 3 keys"),
    "a key twice": (BODY.replace(XPUBS[1], XPUBS[0]), "are the same key"),
    "very many keys": (f"wsh(multi(1,{','.join(XPUBS * 2_000)}))", "16,384 is the most"),
    "Upub": (with_prefix(BODY, "Upub"), "Upub, which is for sh-wsh"),
    "Zpub": (with_prefix(BODY, "Zpub"), "for mainnet, not for regtest"),
    "xpub": (with_prefix(BODY, "xpub"), "for mainnet, not for regtest"),
    "annotated wrongly": (f"{BODY}?bh=01", "annotation 'bh=01'"),
    "private": (BODY.replace(XPUBS[0], XPRV), "key 1 of the descriptor is a private key"),
    "nothing": ("\ufeff \n", "the file is empty"),
    "Keeper's phases": (
        f"wsh(thresh(2,sln:after(900000),pk({XPUBS[0]}/0/*),s:pk({XPUBS[1]}/0/*)))",
        r"not recognised is thresh\(2,sln:after\(900000\)",
    ),
    "a title": (f"family vault\n{DESCRIPTOR}", "line 1, of 11 characters, is no descriptor"),
    "another quotation mark": (f"{BODY}#89f8spxm".replace("h/", "\u2019/"), "u2019' at position"),
    "an address": (BSMS[3], "an address"),
    "a request": (f"bitcoin:{BSMS[3]}?amount=1", "an address"),
    "Core, dumped": (b"BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\n", "a dump of Bitcoin Core's"),
    "Core, private": (b"# Wallet dump created by Bitcoin v0.21\n", "Core's private keys"),
    "Core, wallet.dat": (b"\0\0\0\0\1" + bytes(7) + b"b1\5\0" + bytes(99), "wallet.dat"),
    "zeros": (bytes(100), "zero bytes"),
    "Coldcard, no policy": ("\n".join((PATHS[0], *KEYS)), "a threshold must not be guessed"),
    "Coldcard, a key missing": ("\n".join((*HEAD, *KEYS[:2])), "2 of 3 by its policy, and holds 2"),
    "Coldcard, a key twice": (f"{COLDCARD}\n{KEYS[0]}", "holds 4 keys"),
    "Coldcard, two names": (f"{COLDCARD}\nName: x", "says name again"),
    "Coldcard, words": (COLDCARD.replace(XPUBS[0], "zoo " * 12), "line 7 .* has words where"),
    "Coldcard, private": (COLDCARD.replace(XPUBS[0], XPRV), "line 7 .* is a private key"),
    "Coldcard, cut off": (COLDCARD.rstrip()[:-20], "line 13 .* not an extended public key"),
    "Coldcard, taproot": (COLDCARD.replace("P2WSH", "P2TR"), "line 4 .* a taproot wallet"),
    "Coldcard, path of a wildcard": (COLDCARD.replace("/2'", "/2'/*"), "line 6 .* no step"),
    "Caravan, no signature": (
        changed("caravan", quorum={"requiredSigners": 0, "totalSigners": 3}), "says 0 of 3 keys",
    ),
    "Caravan, four keys": (
        changed("caravan", quorum={"requiredSigners": 2, "totalSigners": 4}), "totalSigners 4",
    ),
    "Caravan, a text": (
        changed("caravan", quorum={"requiredSigners": "2"}), "requiredSigners is '2', not a whole",
    ),
    "Caravan, huge": (
        changed("caravan", quorum={"requiredSigners": 10**99}), "a number has 100 digits",
    ),
    "Caravan, mainnet": (changed("caravan", network="mainnet"), "for mainnet, and its keys"),
    "Caravan, taproot": (changed("caravan", addressType="P2TR"), "a taproot wallet"),
    "Caravan, unknown type": (changed("caravan", addressType="P2A"), "is 'P2A', not one of P2SH"),
    "Caravan, named twice": (
        written("caravan").replace('"name": "f', '"name": "g", "name": "f', 1), "says 'name' twice",
    ),
    "Caravan, cut off": (written("caravan")[:400], "damaged or cut off at line"),
    "Electrum, a key missing": (changed("electrum", **{"x2/": None}), "x2/ is null"),
    "Electrum, a key more": (changed("electrum", **{"x4/": {}}), "holds more keys than that"),
    "Electrum, single": (changed("electrum", wallet_type="standard"), "of a single key"),
    "Electrum, old single": (json.dumps({"seed_version": 17, "keystore": {}}), "of a single key"),
    "Electrum, other address": (
        changed("electrum", addresses={"receiving": [BSMS[3].replace("q", "p")]}), "first address",
    ),
    "Electrum, encrypted by a device": (
        base64.b64encode(b"BIE2" + bytes(99)), "a hardware wallet encrypted",
    ),
    "Electrum, encrypted": (base64.b64encode(b"BIE1" + bytes(99)), "an encrypted Electrum wallet"),
    "Specter, other quorum": (
        json.dumps({**SPECTER, "sigs_required": 1}), "sigs_required is 1, and the descriptor has 2",
    ),
    "Specter, other count": (json.dumps({**SPECTER, "keys": [{}]}), "1 keys, and its descriptor 3"),
    "Specter, other address": (json.dumps({**SPECTER, "address_index": 1}), "at index 1"),
    "Specter, of two": (
        json.dumps({**SPECTER, "change_descriptor": sealed(
            CHANGE.partition("#")[0].replace("(2,", "(1,"))}), "of two wallets",
    ),
    "Specter, swapped": (
        json.dumps({**SPECTER, "recv_descriptor": CHANGE, "change_descriptor": RECEIVE}),
        "receive is 0, change 1",
    ),
    "Specter, height in words": (changed("specter", blockheight="9"), "blockheight is '9', not a"),
    "Specter-DIY, no name": (f"addwallet {BODY}", "no addwallet NAME&DESCRIPTOR"),
    "Nunchuk, other quorum": (
        json.dumps({"descriptor": DESCRIPTOR, "m": 2, "n": 5}), "n is 5, and the descriptor has 3",
    ),
    "Core, swapped": (json.dumps([{"desc": RECEIVE, "internal": True}]), "is internal"),
    "Core, before 1970": (json.dumps([{"desc": DESCRIPTOR, "timestamp": -5}]), "timestamp is -5"),
    "Liana, mainnet": (
        json.dumps({"network": "bitcoin", "accounts": [{"descriptor": DESCRIPTOR}]}),
        "for mainnet, and its keys",
    ),
    "BSMS 2.0": (bsms(version="BSMS 2.0"), "not 'BSMS 1.0'"),
    "BSMS, small": (bsms(version="bsms 1.0"), "not 'BSMS 1.0'"),
    "BSMS, other way round": (bsms(restrictions="/1/*,/0/*"), "of the change keychain"),
    "BSMS, three": (bsms(restrictions="/0/*,/1/*,/2/*"), "line 3 .* two keychains"),
    "BSMS, hardened": (bsms(restrictions="/0'/*"), "line 3 .* no path restrictions"),
    "BSMS, other address": (bsms(body=BSMS[1].replace("sorted", "")), "its keys give"),
    "BSMS, three lines": ("\n".join(BSMS[:3]), "line 4 .* no first address"),
    "BIP 388, order": (
        changed("bip388", descriptor_template="wsh(sortedmulti(2,@1/**,@0/**,@2/**))"),
        "must appear in order",
    ),
    "BIP 388, MuSig2": (
        changed("bip388", descriptor_template="tr(musig(@0,@1,@2)/**)"), "of MuSig2",
    ),
    "UR, a part missing": ("\n".join(UR_PARTS[:-1]), f"these are missing: {len(UR_PARTS)}"),
    "UR, mistyped": (UR_PARTS[0][:-2] + "ae", "its checksum is wrong"),
    "UR, two messages": ("\n".join((UR_PARTS[0], OTHER_PARTS[0])), "among codes of type"),
    "BBqr, a part missing": ("\n".join(BBQR_PARTS[1:]), "these are missing: 1"),
    "BBqr, one part twice": (
        "\n".join((*BBQR_PARTS, BBQR_PARTS[0][:-8] + "AAAAAAAA")), "with different content",
    ),
    "BBqr of a transaction": (in_bbqr(b"\2\0\0\0\1\xff", "T"), "hold a transaction"),
    "BBqr of CBOR": (in_bbqr(b"\xa1\1\2", "C"), "hold CBOR"),
    "BBqr that swells": (in_bbqr(bytes(9_000_000), "U", "Z"), "more than 4194304 bytes"),
    "a transaction": ("0200000001" + "00" * 60, "this is a transaction"),
    "an NFC tag": (b"\xe2\x43\x00\x01\xe1\x40", "what an NFC tag holds"),
    "encrypted by PGP": ("-----BEGIN PGP MESSAGE-----\n", "encrypted by PGP"),
    "compressed": (b"\x1f\x8b\x08\0", "compressed"),
    "a web page": ("<html>", "a web page"),
    "nested without end": ("[" * 9_999, "nested more than"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_variant_that_is_none_is_refused_by_what_it_says(name: str) -> None:
    text, told = REFUSED[name]
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises((PolicyError, CoordinatorError), match=told) as refused:
        read_bytes(data, HERE, "the file")
    assert XPRV[8:] not in str(refused.value)


@pytest.mark.parametrize(
    "write",
    [lambda: DESCRIPTOR, lambda: COLDCARD, lambda: written("caravan"), lambda: written("electrum"),
     lambda: written("specter"), lambda: written("core"), bsms,
     lambda: written("bip388"), lambda: written("jade"), lambda: "\n".join(UR_PARTS),
     lambda: "\n".join(BBQR_PARTS)],
)  # fmt: skip
def test_a_file_cut_off_anywhere_is_the_same_wallet_or_refused(write: Callable[[], str]) -> None:
    """Never another wallet: of the same keys, but fewer of them or under another script."""
    whole = write()
    for end in range(0, len(whole), 19):
        found: WalletFile | None = None
        try:
            found = read_bytes(whole[:end].encode(), HERE, "the file")
        except (PolicyError, CoordinatorError):
            continue
        assert is_same_wallet(found, WALLET), whole[:end]


SLOTS = {"xfp": PRINTS[0], "p2wsh": XPUBS[0], "p2wsh_deriv": "m/48'/1'/0'/2'"}
EXPRESSION = f"[{PRINTS[0]}/48h/1h/0h/2h]{XPUBS[0]}"
NAMED = {"name": "a", "xfp": PRINTS[0].upper(), "xpub": XPUBS[0]}
KEY_FILES = {
    "quoted": f'"{EXPRESSION}"',
    "behind a comment": f"# mine\r\n{EXPRESSION}\r\n",
    "capitals": EXPRESSION.replace("h/", "H/")
    .replace("h]", "H]")
    .replace(PRINTS[0], PRINTS[0].upper()),
    "with children": f"{EXPRESSION}/<0;1>/*",
    "derivation_path": json.dumps({**NAMED, "derivation_path": "m/48h/1h/0h/2h"}),
    "fingerprint": json.dumps(
        {"fingerprint": PRINTS[0], "xpub": XPUBS[0], "derivation": "m/48'/1'/0'/2'"}
    ),
    "ccxp, number": json.dumps({**SLOTS, "account": 0}),
    "ccxp, expression": json.dumps({**SLOTS, "p2wsh_key_exp": EXPRESSION}),
}


@pytest.mark.parametrize("name", KEY_FILES)
def test_a_variant_of_a_key_is_the_same_key_with_its_origin(name: str) -> None:
    (found,) = read_keys(KEY_FILES[name].encode(), "the file").keys
    assert (found.script, found.warning) == ("wsh", None)
    assert (found.key.key, found.key.fingerprint) == (
        WALLET.keys[0].key,
        WALLET.keys[0].fingerprint,
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps({**SLOTS, "p2wsh_key_exp": EXPRESSION.replace(XPUBS[0], XPUBS[1])}),
         "p2wsh_key_exp is another key than p2wsh"),
        (json.dumps(NAMED).replace('"name"', '"xpub": "x", "name"'), "says 'xpub' twice"),
        (f"{EXPRESSION}\n{EXPRESSION}", "holds 2 keys: give one at a time"),
        (json.dumps({**SLOTS, "p2wsh": XPRV}), "p2wsh is a private key"),
        (json.dumps({"xpub": XPUBS[0]}), "xfp is missing"),
    ],
)  # fmt: skip
def test_a_variant_of_a_key_that_is_none_is_refused(text: str, told: str) -> None:
    with pytest.raises((PolicyError, CoordinatorError), match=told) as refused:
        read_keys(text.encode(), "the file")
    assert XPRV[8:] not in str(refused.value)
