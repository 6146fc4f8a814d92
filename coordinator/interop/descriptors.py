"""Multisig descriptors (BIP 380 to 389): read one or several of a wallet, write them.

Known are multi and sortedmulti in wsh, sh(wsh) and sh, in wsh a closed list of forms with branches
that open later, and in tr sortedmulti_a as the one leaf below a key that nobody holds. What else a
descriptor may be is refused by the name of what it is.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from coordinator.errors import NotImportable
from coordinator.interop.key_text import WIF, KeyText, read_key, steps_below
from coordinator.interop.wallet_file import (
    WalletFile,
    WalletKey,
    checked,
    first_address,
    fixed_address,
    is_same_wallet,
    policy_of,
    unspendable,
)
from psbt import miniscript
from psbt.errors import PolicyError
from psbt.forms import quorums_of
from psbt.keys import HARDENED, KeyExpression, Path, child, format_key_expression, format_xpub
from psbt.miniscript import Node
from psbt.network import Network
from psbt.policy import CHANGE, KEYS_MAX, RECEIVE, SCRIPTS, checksum, leaf_text

FORMAT: Final = "descriptor"
DESCRIPTOR_MAX: Final = 16_384
BOTH: Final = (RECEIVE, CHANGE)
Keychains = tuple[tuple[int, ...], ...]
"""What stands below each key: one step, a pair of them, or none."""
STEPS_MAX: Final = 8
SHAPE = re.compile(r"(wsh|sh\(wsh|sh)\((sortedmulti|multi)\(([^()]*)\)\)(\)?)")
BRANCHED = re.compile(r"wsh\((?!(?:sorted)?multi(?:_a)?\(|pkh?\(|musig\().*\)", re.DOTALL)
PLACES_MAX: Final = 3 * KEYS_MAX
LEAF = re.compile(r"tr\(([^(),]*),sortedmulti_a\(([^(){}]*)\)\)")
BARE_KEY = re.compile(r"[a-zA-Z]pub[^,(){}]+")
ANNOTATION = re.compile(r"[a-z]+=(?:0|[1-9][0-9]{0,8})")
THRESHOLD = re.compile(r"[1-9][0-9]?")
PAIR = re.compile(r"((?:/[0-9]{1,10})*)/<([0-9]{1,10});([0-9]{1,10})>/\*")
ONE = re.compile(r"((?:/[0-9]{1,10})*)/([0-9]{1,10})/\*")
SHORT = {"/**": "/<0;1>/*"}
WITHOUT_KEYCHAIN: Final = "/*"
"""What Nunchuk writes below keys where it means the keychains 0 and 1."""
WIF_IN = re.compile(rf"(?<![0-9A-Za-z])(?:{WIF.pattern})(?![0-9A-Za-z])")
NAME = re.compile(r"([a-z_]{1,20})\(")
BRACES = re.compile(r"/\{([0-9]{1,10}),([0-9]{1,10})\}/")
"""Keychains as Specter-DIY writes them."""
MARK = re.compile(r"(/[0-9]{1,10})['h]")
OTHER_KINDS: Final = (
    (re.compile(r".*\bmusig\("), "a wallet of MuSig2, which no card signs for"),
    (re.compile(r"tr\([^,]*\)"), "a taproot wallet whose one key spends alone"),
    (re.compile(r"tr\(.*multi_a\("), "a taproot wallet of another form than one sortedmulti_a"),
    (re.compile(r"tr\("), "a taproot wallet"),
    (re.compile(r".*multi_a\("), "multi_a outside of taproot, which cannot be spent"),
    (re.compile(r"(wpkh|pkh|pk|combo|sh\(wpkh|wsh\(pkh|wsh\(pk|sh\(pkh|sh\(pk)\("), "a single key"),
    (re.compile(r"sp\("), "a wallet of silent payments"),
    (re.compile(r"(addr|raw|rawtr)\("), "an address or script without its keys"),
    (re.compile(r"(sorted)?multi\("), "a bare multisig, which has no address"),
    (re.compile(r"(wsh|sh)\("), "a miniscript policy without branches that open later"),
)
KEEP_IT: Final = "nothing was imported; use it in the wallet that made it"


@dataclass(frozen=True)
class Below:
    """What stands below a key: steps that are always taken, then the keychains, or one index.

    `open` tells that indexes stand there without a keychain.
    """

    steps: Path
    keychains: tuple[int, ...]
    fixed: bool = False
    open: bool = False


@dataclass(frozen=True)
class Descriptor:
    """One descriptor taken apart, `keys` as written."""

    script: str
    sorted: bool
    threshold: int
    keys: tuple[KeyText, ...]
    node: Node | None = None
    birthday_height: int | None = None
    gap: int | None = None
    internal: KeyText | None = None
    """The key above a leaf of taproot."""
    other_marks: bool = False
    """Whether its checksum is that of the same descriptor with other marks, as h for '."""

    @property
    def belows(self) -> list[Below]:
        """Return what stands below each key; raises PolicyError for what no vault here has."""
        return [_below(number, key) for number, key in enumerate(self.keys, 1)]


class Body(NamedTuple):
    """A descriptor without its checksum, and whether that is for other marks of its steps."""

    text: str
    other_marks: bool = False


def body_of(text: str, where: str) -> Body:
    """Return a descriptor without its checksum; raises PolicyError for a wrong one.

    A checksum covers how hardened steps and keychains are written, and programs that rewrite them
    keep it: h for ', and {0,1} for <0;1> or for the 0 of receive alone.
    """
    body, mark, given = text.partition("#")
    if not mark or given == checksum(body):
        return Body(body)
    written = {BRACES.sub(each, body) for each in (r"\g<0>", r"/<\1;\2>/", r"/\1/")}
    for each in written:
        if given in {checksum(each), *(checksum(MARK.sub(rf"\1{m}", each)) for m in ("'", "h"))}:
            return Body(body, other_marks=True)
    told = given[:20] or "empty, as behind its #"
    raise PolicyError(f"{where}: its checksum is {checksum(body)}, not {told}")


def parse(text: str, where: str = "the descriptor") -> Descriptor:
    """Read one descriptor; a checksum may be missing but not wrong."""
    if len(text) > DESCRIPTOR_MAX:
        raise PolicyError(f"{where} has {len(text):,} characters; {DESCRIPTOR_MAX:,} is the most")
    descriptor, told = _annotated("".join(text.split()))
    body, other_marks = body_of(descriptor, where)
    found = _parsed(BRACES.sub(r"/<\1;\2>/", body), where)
    return replace(
        found, birthday_height=told.get("bh"), gap=told.get("gl"), other_marks=other_marks
    )


def _annotated(text: str) -> tuple[str, dict[str, int]]:
    """Return a descriptor without its annotations, and what each of them says (BIP 393).

    bh is the height before which nothing paid it, gl its gap; others are passed over. Raises
    PolicyError for a wrong checksum, which covers them, or for a list that is none.
    """
    body, mark, given = text.partition("#")
    script, annotated, listed = body.partition("?")
    if not annotated:
        return text, {}
    if mark and given != checksum(body):
        raise PolicyError(f"the descriptor's checksum is {checksum(body)}, not {given[:20]}")
    found: dict[str, int] = {}
    for pair in listed.split("&"):
        name, _, value = pair.partition("=")
        if not ANNOTATION.fullmatch(pair):
            raise PolicyError(
                f"the descriptor's annotation {pair[:40]!r} is not name=number, as bh=840000"
            )
        if name in found:
            raise PolicyError(f"the descriptor says {name} twice")
        found[name] = int(value)
    return f"{script}#{checksum(script)}", found


def _parsed(body: str, where: str) -> Descriptor:
    opened, closed = body.count("("), body.count(")")
    if opened != closed and NAME.match(body):
        raise PolicyError(
            f"{where} is cut off or mistyped: it opens {opened} brackets and closes {closed}"
        )
    if BRANCHED.match(body):
        return _branched(body.removeprefix("wsh(").removesuffix(")"), where)
    matched = SHAPE.fullmatch(body)
    if leaf := LEAF.fullmatch(body):
        threshold, read = _quorum(leaf[2], where)
        if "xpub" not in leaf[1] and "tpub" not in leaf[1]:
            raise _alone(leaf[1], where)
        # the key above the leaf is held against those in it later
        internal = read_key(leaf[1], f"the internal key of {where}")
        return Descriptor("tr", True, threshold, read, internal=internal)
    if not matched or (matched[1] == "sh(wsh") is not bool(matched[4]):
        raise _other_kind(body, where)
    script = "sh-wsh" if matched[1] == "sh(wsh" else matched[1]
    threshold, read = _quorum(matched[3], where)
    return Descriptor(script, matched[2] == "sortedmulti", threshold, read)


def _quorum(text: str, where: str) -> tuple[int, tuple[KeyText, ...]]:
    """Read a threshold and the keys behind it."""
    threshold, *keys = text.split(",")
    if not THRESHOLD.fullmatch(threshold):
        raise PolicyError(f"{where} asks for {threshold[:20]!r} signatures, which is no number")
    if not keys:
        raise PolicyError(f"{where} has no keys")
    if len(keys) > KEYS_MAX:
        raise PolicyError(f"{where} has {len(keys)} keys; {KEYS_MAX} is the most")
    read = tuple(read_key(key, f"key {number} of {where}") for number, key in enumerate(keys, 1))
    return int(threshold), read


def _alone(internal: str, where: str) -> NotImportable:
    """Return the refusal of an internal key that is not provably nobody's."""
    return NotImportable(
        f"{where} is a taproot wallet whose internal key, {internal[:20]}…, is not the one that"
        " nobody holds: whoever holds it spends alone",
        KEEP_IT,
    )


def _branched(text: str, where: str) -> Descriptor:
    """Read an expression with branches; raises NotImportable with what is not known in it."""
    try:
        parsed = miniscript.parse(text)
        primary = quorums_of(parsed.node)[0]
    except PolicyError as failure:
        raise NotImportable(
            f"{where} is a miniscript policy of a form that is not known here: {failure}",
            f"{KEEP_IT}; docs/other-wallets.md lists the forms that are read",
        ) from failure
    if len(parsed.keys) > PLACES_MAX:
        raise PolicyError(f"{where} has {len(parsed.keys)} keys; {PLACES_MAX} is the most")
    read = tuple(
        read_key(key, f"key {number} of {where}") for number, key in enumerate(parsed.keys, 1)
    )
    return Descriptor("wsh", False, primary.threshold, read, parsed.node)


def wallets(
    texts: Sequence[str], network: Network, format_: str = FORMAT, *, change_known: bool = False
) -> list[WalletFile]:
    """Return the wallets that several descriptors are of; raises PolicyError where none is one.

    Receive and change may stand in one or in two. `change_known` says that the format itself
    means both keychains where it writes the receive keychain alone.
    """
    read: list[Descriptor] = []
    refused: list[PolicyError] = []
    for number, text in enumerate(texts, 1):
        try:
            read.append(
                parse(text, "the descriptor" if len(texts) == 1 else f"descriptor {number}")
            )
        except NotImportable as failure:
            refused.append(failure)
    if not read:
        raise refused[0] if refused else PolicyError(f"the {format_} holds no descriptor")
    found = [
        _wallet(part, network, format_, change_known=change_known)
        for group in _grouped(read)
        for part in _parted(group)
    ]
    for file in found:
        if file.node is not None and not file.repairs:
            policy_of(file, network)
    if refused and len(found) == 1:
        message = f"{len(refused)} of the {format_}'s {len(texts)} descriptors are left out: "
        found = [found[0].warned("others_left_out", message + str(refused[0]))]
    return found


def of_one_wallet(texts: Sequence[str]) -> bool:
    """Tell whether descriptors have the same script, threshold and keys, whatever they derive."""
    return len(list(_grouped(parse(text) for text in texts))) == 1


def multipath(file: WalletFile, network: Network) -> str:
    """Return the descriptor with both keychains (BIP 389) and its checksum."""
    belows = [f"/<{key.keychains[RECEIVE]};{key.keychains[CHANGE]}>/*" for key in file.keys]
    return _written(file, belows, network)


def pair(file: WalletFile, network: Network) -> tuple[str, str]:
    """Return the descriptors of receive and change, each with its checksum."""
    receive, change = (
        _written(file, [f"/{key.keychains[keychain]}/*" for key in file.keys], network)
        for keychain in BOTH
    )
    return receive, change


def without_children(file: WalletFile, network: Network) -> str:
    """Return the descriptor of the account keys themselves, without a checksum."""
    return _written(file, [""] * len(file.keys), network).partition("#")[0]


def with_children(body: str, below: str) -> str:
    """Return a descriptor whose keys stand without children, with these below each of them."""
    return BARE_KEY.sub(rf"\g<0>{below}", body)


def key_of(key: WalletKey, network: Network) -> str:
    """Return a checked key as [fingerprint/path]xpub."""
    origin = KeyExpression(key.fingerprint or bytes(4), key.path or (), key.key)
    return format_key_expression(origin, network)


def _written(file: WalletFile, belows: Sequence[str], network: Network) -> str:
    keys = [key_of(key, network) + below for key, below in zip(file.keys, belows, strict=True)]
    multi = "sortedmulti" if file.sorted else "multi"
    inner = f"{multi}({file.threshold},{','.join(keys)})"
    if file.script == "tr":
        internal = format_xpub(unspendable(file), network) + belows[0]
        inner = leaf_text(internal, file.threshold, keys)
    if file.node is not None:
        inner = miniscript.write(file.node, keys)
    body = SCRIPTS[file.script].format(inner)
    return f"{body}#{checksum(body)}"


def _other_kind(body: str, where: str) -> PolicyError:
    if "prv" in body or WIF_IN.search(body):
        return NotImportable(
            f"{where} holds a private key",
            "nothing of it was stored; export the wallet without its private keys",
        )
    for shape, kind in OTHER_KINDS:
        if shape.match(body):
            return NotImportable(
                f"{where} is {kind}, not a multisig of wsh, sh(wsh) or sh", KEEP_IT
            )
    name = NAME.match(body)
    told = f"{name[1]}(…) is not known" if name else f"{len(body):,} characters of something else"
    return PolicyError(f"{where} is none: {told}")


def _grouped(read: Iterable[Descriptor]) -> Iterator[list[Descriptor]]:
    groups: list[list[Descriptor]] = []
    for each in read:
        bare = _bare(each)
        group = next((g for g in groups if is_same_wallet(_bare(g[0]), bare)), None)
        if group is None:
            groups.append(group := [])
        group.append(each)
    yield from groups


def _parted(group: Sequence[Descriptor]) -> Iterator[list[Descriptor]]:
    """Yield the descriptors of each wallet among those of the same keys: pairs tell them apart.

    A descriptor of one keychain is of the wallet that has it.
    """
    told = [_told(each) for each in group]
    pairs = list(dict.fromkeys(each for each in told if {*map(len, each)} == {2}))
    if len(pairs) < 2:
        yield list(group)
        return
    for pair in pairs:
        own = {pair, *(tuple((steps[keychain],) for steps in pair) for keychain in BOTH)}
        yield [each for each, said in zip(group, told, strict=True) if said in own]


def _told(found: Descriptor) -> Keychains:
    """Return the keychains of each key as the descriptor has them, or none."""
    return tuple(below.keychains for below in found.belows)


def _bare(found: Descriptor) -> WalletFile:
    """Return a descriptor's wallet with the steps below each key taken, unchecked."""
    keys = tuple(map(_taken, found.keys, found.belows))
    return WalletFile(FORMAT, found.script, found.sorted, found.threshold, keys, node=found.node)


def _wallet(
    group: Sequence[Descriptor], network: Network, format_: str, *, change_known: bool
) -> WalletFile:
    first = group[0]
    file = replace(
        _bare(first),
        format=format_,
        birthday_height=next(
            (d.birthday_height for d in group if d.birthday_height is not None), None
        ),
        gap=max((d.gap for d in group if d.gap is not None), default=None),
    )
    belows = [_common(each) for each in group]
    for found in group:
        _check_internal(found, file, format_)
    fixed = next((place for place, below in enumerate(belows) if below.fixed), None)
    if fixed is not None and file.script == "tr":
        raise NotImportable(f"the {file.format} is one address of taproot, not a vault", KEEP_IT)
    if fixed is not None:
        paths = tuple(below.steps for below in group[fixed].belows)
        one = fixed_address(checked(file, network), paths, network)
        raise NotImportable(
            f"the {file.format} is one address, not a vault: its keys are fixed at"
            f" {group[fixed].keys[0].below}",
            f"nothing was imported; the one address is {one}: "
            "ask for an export with the keys' children, as /<0;1>/*",
        )
    file = checked(file, network)
    if any(each.other_marks for each in group):
        file = file.warned(
            "checksum_of_other_marks",
            f"the {format_}'s checksum is that of the same descriptor with its hardened steps "
            "or keychains written otherwise (' for h, or <0;1> for {0,1})",
        )
    taken = next((below.steps for below in first.belows if below.steps), None)
    if taken is not None:
        file = file.warned(
            "keys_derived",
            f"keys are taken {len(taken)} steps below those in the {format_}: "
            "they give the same addresses",
        )
    told = list(dict.fromkeys(map(_told, group)))
    if told == [((),) * len(file.keys)]:
        lack = "derive /* and no keychain (Nunchuk means receive and change by it)"
        lack = lack if belows[0].open else "have no children, so that it has one address alone"
        return file.repaired(
            "add_children",
            f"the keys of the {format_} {lack}; with /<0;1>/* below each its first address is "
            f"{first_address(file, network)}",
        )
    return _with_keychains(file, told, network, change_known=change_known)


def _check_internal(found: Descriptor, file: WalletFile, format_: str) -> None:
    """Hold the key above a leaf against the one that follows from the keys in it."""
    if found.internal is None:
        return
    if found.internal.key.key != unspendable(file):
        where = f"the {format_}"
        raise _alone(format_xpub(found.internal.key.key, Network.MAINNET), where)
    if SHORT.get(found.internal.below, found.internal.below) not in (
        SHORT.get(key.below, key.below) for key in found.keys[:1]
    ):
        raise PolicyError(
            f"the internal key of the {format_} derives {found.internal.below[:40] or 'nothing'},"
            f" its keys {found.keys[0].below[:40] or 'nothing'}: they must derive alike"
        )


def _with_keychains(
    file: WalletFile,
    told: Sequence[Keychains],
    network: Network,
    *,
    change_known: bool,
) -> WalletFile:
    """Return the wallet with the keychains of its descriptors, where both are told.

    Of two descriptors with one keychain each the first is receive, unless they are 1 and 0.
    """
    total = len(file.keys)
    receives, changes = (((step,),) * total for step in BOTH)
    pairs = [each for each in told if {*map(len, each)} == {2}]
    singles = [each for each in told if {*map(len, each)} == {1}]
    if singles == list(told) == [receives]:
        return file if change_known else file.warned(
            "change_assumed",
            f"the {file.format} tells the receive keychain /0/* alone; change is taken to be /1/*",
        )  # fmt: skip
    if not pairs and len(singles) == len(BOTH):
        first, second = (receives, changes) if set(singles) == {receives, changes} else singles
        pairs = [tuple((*one, *two) for one, two in zip(first, second, strict=True))]
    own = [tuple((steps[keychain],) for steps in pair) for pair in pairs for keychain in BOTH]
    if len(pairs) != 1 or any(each not in (*pairs, *own) for each in told):
        shown = ", ".join(sorted({";".join(map(str, s)) or "none" for each in told for s in each}))
        raise NotImportable(
            f"the {file.format} has the keychains {shown}; receive and change must both be told",
            KEEP_IT,
        )
    keys = tuple(
        key._replace(keychains=(steps[RECEIVE], steps[CHANGE]))
        for key, steps in zip(file.keys, pairs[0], strict=True)
    )
    found = replace(file, keys=keys)
    if not found.usual_keychains:
        policy_of(found, network)
    return found


def _common(found: Descriptor) -> Below:
    """Return what stands below every key alike."""
    first, *others = found.belows
    for number, below in enumerate(others, 2):
        if (len(below.keychains), below.fixed, below.open) != (
            len(first.keychains),
            first.fixed,
            first.open,
        ):
            raise PolicyError(
                f"keys 1 and {number} derive {found.keys[0].below or 'nothing'} and "
                f"{found.keys[number - 1].below or 'nothing'}: they must derive alike"
            )
    return first


def _below(number: int, found: KeyText) -> Below:
    written = SHORT.get(found.below, found.below)
    if written in ("", WITHOUT_KEYCHAIN):
        return Below((), (), open=bool(written))
    if matched := PAIR.fullmatch(written):
        return Below(_steps(number, matched[1]), (int(matched[2]), int(matched[3])))
    if matched := ONE.fullmatch(written):
        return Below(_steps(number, matched[1]), (int(matched[2]),))
    steps = steps_below(written)
    if steps is not None and len(steps) <= STEPS_MAX:
        return Below(steps, (), fixed=True)
    if re.search(r"[h'H]", written):
        raise PolicyError(
            f"key {number} derives {written[:40]}: hardened steps need the private key"
        )
    raise NotImportable(
        f"key {number} derives {written[:40]}; a vault here derives /<0;1>/*, receive and change",
        KEEP_IT,
    )


def _steps(number: int, text: str) -> Path:
    steps = tuple(int(step) for step in text.split("/")[1:])
    if len(steps) > STEPS_MAX or any(step >= HARDENED for step in steps):
        raise PolicyError(f"key {number} derives {text[:40]}: no such steps")
    return steps


def _taken(found: KeyText, below: Below) -> WalletKey:
    """Return the key after the steps that are always taken, its origin with it."""
    key = found.key
    for step in below.steps if not below.fixed else ():
        path = None if key.path is None else (*key.path, step)
        key = key._replace(key=child(key.key, step), path=path)
    return key
