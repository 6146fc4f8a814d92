"""Coldcard's multisig text, and what Jade, Nunchuk, Specter, BlueWallet and Electrum make of it.

Lines of `label: value`; a Derivation is that of the keys that follow it, or of all where it is
the only one, or, where each key has one behind it, of the key before it. BlueWallet writes the
path of one key alone as a comment before it. Keys are sorted unless Jade's `Sorted: False` says
otherwise.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from coordinator.errors import NotImportable
from coordinator.foreign_text import lines
from coordinator.interop.key_text import PRIVATE, read_key, read_path, refuse_private
from coordinator.interop.wallet_file import SCRIPT_NAMES, WalletFile, WalletKey, checked
from psbt.errors import PolicyError
from psbt.keys import Path, format_xpub
from psbt.network import Network
from psbt.policy import KEYS_MAX

FORMAT: Final = "Coldcard text"
LINES_MAX: Final = 1_000
LINE_MAX: Final = 2_000
NAME_MAX: Final = 20
NAME_READ_MAX: Final = 100
LINE = re.compile(r"([^:]{1,40}?)\s*:\s*(.*)")
LONE_FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}\s*:")
"""A key that follows on the next line."""
FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}")
OWN_PATH = re.compile(r"#\s*derivation:\s*(m(?:/[0-9]+['hH]?)*)")
QUORUM = re.compile(r"([0-9]{1,3})[^0-9#]{1,20}([0-9]{1,3})[^0-9]{0,80}")
"""The first two numbers, as Coldcard reads them."""
SCRIPTS: Final = {"p2sh": "sh", "p2wsh": "wsh", "p2sh-p2wsh": "sh-wsh", "p2wsh-p2sh": "sh-wsh"}
ONCE: Final = ("name", "policy", "format", "sorted", "blindingkey")
SECRETS: Final = ("seed", "mnemonic", "passphrase")
FLAGS: Final = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


@dataclass
class _Said:
    """What the lines said so far."""

    once: dict[str, tuple[int, str]] = field(default_factory=dict)
    paths: list[tuple[int, Path]] = field(default_factory=list)
    keys: list[WalletKey] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    own_path: Path | None = None


def is_one(text: str) -> bool:
    """Tell whether a text has lines of this format."""
    found = {
        matched[1].strip().lower()
        for line in lines(text)[:LINES_MAX]
        if not line.lstrip().startswith("#") and (matched := LINE.match(line.strip()))
    }
    has_key = any(FINGERPRINT.fullmatch(label) for label in found)
    return has_key or len(found & {"name", "policy", "format", "derivation"}) > 1


def read(text: str, network: Network) -> list[WalletFile]:
    """Read a file; raises PolicyError that names the line."""
    said = _Said()
    listed = lines(text)
    if len(listed) > LINES_MAX:
        raise PolicyError(f"the {FORMAT} has {len(listed)} lines; {LINES_MAX} is the most")
    begun = ""
    for number, line in enumerate(listed, 1):
        stripped = begun + line.strip()
        begun = stripped if LONE_FINGERPRINT.fullmatch(stripped) else ""
        if own := OWN_PATH.fullmatch(stripped):
            said.own_path = read_path(own[1], f"line {number} of the {FORMAT}")
        elif stripped and not begun and not stripped.startswith("#"):
            _take(said, number, stripped)
    threshold, total = _quorum(said)
    if total != len(said.keys):
        raise PolicyError(
            f"the {FORMAT} is {threshold} of {total} by its policy, and holds {len(said.keys)} keys"
        )
    name = said.once.get("name")
    called = name[1][:NAME_READ_MAX] if name else None
    file = WalletFile(
        FORMAT, _script(said), _sorted(said), threshold, _with_paths(said), name=called
    )
    file = checked(file, network)
    if "format" not in said.once:
        file = file.warned("format_assumed", f"the {FORMAT} says no format; that is P2SH there")
    if said.unknown:
        told = ", ".join(said.unknown[:5])
        file = file.warned("unknown_fields", f"the {FORMAT} says more that is not known: {told}")
    return [file]


def write(file: WalletFile, network: Network) -> str:
    """Return the text, with a Derivation before each key."""
    if not file.sorted:
        raise PolicyError(f"{file.form} cannot be written as {FORMAT}: its keys are always sorted")
    written = [
        "# Multisig wallet, made by cardquorum",
        f"Name: {(file.name or 'vault')[:NAME_MAX]}",
        f"Policy: {file.threshold} of {len(file.keys)}",
        f"Format: {SCRIPT_NAMES[file.script]}",
        "",
    ]
    for key in file.keys:
        written += [
            f"Derivation: {key.master_path}",
            f"{key.xfp.upper()}: {format_xpub(key.key, network)}",
            "",
        ]
    return "\n".join(written)


def _take(said: _Said, number: int, line: str) -> None:
    if len(line) > LINE_MAX:
        raise PolicyError(f"line {number} of the {FORMAT} has {len(line)} characters")
    matched = LINE.fullmatch(line)
    if not matched:
        raise PolicyError(f"line {number} of the {FORMAT} is no label: value")
    label, value = matched[1].strip().lower(), matched[2].strip()
    where = f"line {number} of the {FORMAT}"
    if FINGERPRINT.fullmatch(label):
        key = _key(label, value, where)
        said.keys.append(key if key.path is not None else key._replace(path=said.own_path))
        said.own_path = None
        if len(said.keys) > KEYS_MAX:
            raise PolicyError(f"{where} is key {len(said.keys)}; {KEYS_MAX} is the most")
    elif label == "derivation":
        said.paths.append((len(said.keys), read_path(value, where)))
    elif label in SECRETS:
        raise NotImportable(f"{where} holds a {label}", PRIVATE)
    elif label in ONCE:
        before = said.once.setdefault(label, (number, value))
        if before[0] != number:
            raise PolicyError(f"{where} says {label} again, which line {before[0]} says already")
    else:
        said.unknown.append(label[:20])


def _with_paths(said: _Said) -> tuple[WalletKey, ...]:
    """Return the keys, each with the path that the lines give it, where it has none of its own."""
    behind = [place for place, _ in said.paths] == list(range(1, len(said.keys) + 1))
    if behind or len(said.paths) == 1:
        paths: list[Path | None] = [path for _, path in said.paths]
        paths *= len(said.keys) if len(paths) == 1 else 1
    else:
        paths = [
            next((path for place, path in reversed(said.paths) if place <= number), None)
            for number in range(len(said.keys))
        ]
    return tuple(
        key if key.path is not None else key._replace(path=path)
        for key, path in zip(said.keys, paths, strict=True)
    )


def _key(label: str, value: str, where: str) -> WalletKey:
    refuse_private(value, where)
    if len(value.split()) > 1:
        raise NotImportable(f"{where} has words where a public key belongs", PRIVATE)
    found, below = read_key(value, where)
    if below:
        raise PolicyError(f"{where}: the key has {below[:20]!r} behind it")
    given = bytes.fromhex(label)
    if found.fingerprint is not None:
        if found.fingerprint != given:
            raise PolicyError(f"{where} says {label} and [{found.fingerprint.hex()}] of one key")
        return found
    return found._replace(fingerprint=given)


def _quorum(said: _Said) -> tuple[int, int]:
    if "policy" not in said.once:
        raise PolicyError(
            f"the {FORMAT} says no policy; a threshold must not be guessed: add a line "
            f"Policy: M of {len(said.keys)}"
        )
    number, value = said.once["policy"]
    matched = QUORUM.fullmatch(value)
    if not matched:
        raise PolicyError(f"line {number} of the {FORMAT}: {value[:20]!r} is no policy M of N")
    return int(matched[1]), int(matched[2])


def _script(said: _Said) -> str:
    if "format" not in said.once:
        return "sh"
    number, value = said.once["format"]
    if value.lower() == "p2tr":
        raise NotImportable(
            f"line {number} of the {FORMAT} says {value}: a taproot wallet",
            "nothing was imported; use it in the wallet that made it",
        )
    named = value.lower().replace("_", "-")
    if named not in SCRIPTS:
        known = ", ".join(SCRIPT_NAMES.values())
        raise PolicyError(
            f"line {number} of the {FORMAT}: unknown format {value[:20]!r}; expected one of {known}"
        )
    return SCRIPTS[named]


def _sorted(said: _Said) -> bool:
    number, value = said.once.get("sorted", (0, "true"))
    if value.lower() not in FLAGS:
        raise PolicyError(
            f"line {number} of the {FORMAT}: sorted is {value[:20]!r}, not true or false"
        )
    return FLAGS[value.lower()]
