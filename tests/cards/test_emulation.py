"""Card files: whole at every moment, kept before an answer is given, in one hand at a time."""

import contextlib
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import cbor2
import pytest
from coincurve import PrivateKey

from cards.apdu import Response
from cards.emulation import (
    EmulatedTransport,
    Emulator,
    create_card,
    open_card,
    sign_high_or_low,
)
from cards.errors import CardError, CardRemoved, NotSupported, OutOfReach, TransportError
from cards.family import CardFamily, family_named
from cards.transport import CardTransport, PowerCycler
from tests.cards.satochip_host import SELECT, SETUP, STATUS, Host, compact, signs_digest

PROFILE = "0.12-0.6"
STEPS = ("open", "write", "fsync", "replace", "fsync folder")


@pytest.fixture
def family() -> CardFamily:
    return family_named("satochip")


@pytest.fixture
def path(tmp_path: Path, family: CardFamily) -> Path:
    path = tmp_path / "blue.card"
    create_card(path, family, PROFILE)
    return path


class Chip:
    """A card that counts its powers and echoes."""

    def __init__(self) -> None:
        self.powers = 0

    def power_on(self) -> None:
        self.powers += 1

    def answer(self, apdu: bytes) -> bytes:
        return Response(apdu).encode()


def test_a_reader_powers_its_card_and_loses_it() -> None:
    chip = Chip()
    reader = EmulatedTransport(chip)
    assert isinstance(reader, PowerCycler)
    reader.power_cycle()
    assert chip.powers == 2
    assert reader.transmit(b"1234") == b"1234\x90\x00"
    reader.eject()
    for lost in (reader.power_cycle, lambda: reader.transmit(b"1234")):
        with pytest.raises(CardRemoved):
            lost()
    reader.close()


def test_a_card_file_is_for_its_owner_and_written_whole(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir() if entry.suffix == ".new"] == []


def test_a_card_that_is_there_is_not_made_again(path: Path, family: CardFamily) -> None:
    before = path.read_bytes()
    with pytest.raises(CardError, match=r"blue\.card exists already"):
        create_card(path, family, PROFILE)
    assert path.read_bytes() == before


def test_an_unknown_version_leaves_no_file(tmp_path: Path, family: CardFamily) -> None:
    with pytest.raises(NotSupported):
        create_card(tmp_path / "x.card", family, "9.9-9.9")
    assert not (tmp_path / "x.card").exists()


def host(reader: CardTransport) -> Host:
    assert isinstance(reader, PowerCycler)
    made = Host(reader)
    made.open()
    return made


def test_what_changed_is_kept_and_power_is_not(path: Path) -> None:
    reader = open_card(path)
    assert host(reader).send(SETUP)[1] == 0x9000
    reader.close()
    again = open_card(path)
    assert again.transmit(STATUS) == b"\x6d\x00"
    again.transmit(SELECT)
    assert again.transmit(STATUS)[10] == 1
    again.close()


def test_a_change_is_in_the_file_before_the_answer_is_out(path: Path) -> None:
    reader = open_card(path)
    speaker = host(reader)
    before = path.read_bytes()
    speaker.status()
    assert path.read_bytes() == before
    speaker.send(SETUP)
    kept = path.read_bytes()
    assert kept != before
    speaker.sw(0x42, data=b"000000")
    assert path.read_bytes() != kept
    reader.close()


def test_what_does_not_change_is_not_written(path: Path) -> None:
    reader = open_card(path)
    before = path.stat().st_ino
    host(reader)
    assert path.stat().st_ino == before
    reader.close()


def test_all_of_it_is_on_the_disk_before_it_takes_the_old_ones_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = open_card(path)
    speaker = host(reader)
    sizes: list[int] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    speaker.send(SETUP)
    assert sizes[0] == path.stat().st_size
    reader.close()


def test_a_power_cycle_reaches_the_card(path: Path) -> None:
    reader = open_card(path)
    assert isinstance(reader, PowerCycler)
    reader.transmit(SELECT)
    reader.power_cycle()
    assert reader.transmit(STATUS) == b"\x6d\x00"
    reader.close()


def test_one_hand_at_a_time(path: Path) -> None:
    reader = open_card(path)
    with pytest.raises(TransportError, match=r"blue\.card is in use"):
        open_card(path)
    reader.close()
    reader.close()
    for gone in (lambda: reader.transmit(SELECT), reader.power_cycle):
        with pytest.raises(CardRemoved):
            gone()
    open_card(path).close()


def test_who_only_looks_at_a_card_does_not_keep_it_out_of_a_reader(path: Path) -> None:
    look = open_card(path)
    threading.Timer(0.2, look.close).start()
    begun = time.monotonic()
    open_card(path).close()
    assert time.monotonic() - begun >= 0.1
    with contextlib.closing(open_card(path)), pytest.raises(OutOfReach):
        open_card(path, 0)


def test_another_process_has_to_wait(path: Path) -> None:
    script = "import sys; from pathlib import Path; from cards.emulation import open_card; "
    script += "open_card(Path(sys.argv[1])).close()"
    command = [sys.executable, "-c", script, str(path)]
    reader = open_card(path)
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    reader.close()
    assert "is in use" in refused.stderr
    subprocess.run(command, check=True)


def test_another_thread_may_close_it(path: Path) -> None:
    reader = open_card(path)
    thread = threading.Thread(target=reader.close)
    thread.start()
    thread.join()
    open_card(path).close()


def test_a_file_that_cannot_be_opened_stays_free(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CardError, match="damaged") as kept:
        open_card(path)
    path.write_bytes(whole)
    open_card(path).close()
    assert kept.traceback


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes((content[-1] ^ 1,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"# notes\n", "damaged"),
        (cbor2.dumps({}), "damaged"),
        (cbor2.dumps(7), "damaged"),
        (b"\x81" * 100_000, "damaged"),
        (cbor2.dumps(["another", 1, "satochip", PROFILE, b"", b""]), "format 1"),
        (cbor2.dumps(["cardquorum emulated card", 2, "satochip", PROFILE, b"", b""]), "format 1"),
        (cbor2.dumps(["cardquorum emulated card", 1, "satochip", PROFILE, b"", b""]), "checksum"),
        (cbor2.dumps(["cardquorum emulated card", 1, "satochip", PROFILE, b"", 7]), "checksum"),
    ],
)
def test_a_file_that_is_no_card(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "red.card"
    path.write_bytes(content)
    with pytest.raises(CardError, match=message) as refusal:
        open_card(path)
    assert "red.card" in str(refusal.value)


def test_a_flipped_bit_in_the_state(path: Path) -> None:
    path.write_bytes(flipped(path.read_bytes()))
    with pytest.raises(CardError, match="checksum"):
        open_card(path)


def test_no_file_and_no_folder(tmp_path: Path, family: CardFamily) -> None:
    with pytest.raises(CardError, match=r"none\.card"):
        open_card(tmp_path / "none.card")
    (tmp_path / "file").touch()
    with pytest.raises(CardError, match=r"none\.card cannot be locked"):
        create_card(tmp_path / "file" / "none.card", family, PROFILE)


def test_a_card_that_cannot_be_kept_is_taken_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = open_card(path)
    speaker = host(reader)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CardError, match="No space left"):
        speaker.send(SETUP)
    monkeypatch.undo()
    with pytest.raises(CardRemoved):
        reader.transmit(SELECT)
    assert path.read_bytes() == before
    open_card(path).close()


KILLED = """
import builtins, os, sys
from pathlib import Path
from cards.emulation import open_card
from tests.cards.satochip_host import SETUP, Host

path, wanted, when = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
reader = open_card(path)
host = Host(reader)
host.open()
done = 0

def dying(real):
    def call(*args, **kwargs):
        global done
        done += 1
        if done == wanted and when == "before":
            os._exit(9)
        answer = real(*args, **kwargs)
        if done == wanted:
            os._exit(9)
        return answer
    return call

class Half:
    def __init__(self, file):
        self.file = file
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.file.close()
    def write(self, content):
        dying(self.half)(content)
        self.file.seek(0)
        return self.file.write(content)
    def half(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
    def flush(self):
        self.file.flush()
    def fileno(self):
        return self.file.fileno()

real_open = builtins.open
def opened(name, mode="r", **options):
    file = dying(real_open)(name, mode, **options)
    return Half(file) if mode == "wb" else file

builtins.open = opened
os.fsync = dying(os.fsync)
Path.replace = dying(Path.replace)
host.send(SETUP)
print("answered", done)
"""


def killed(path: Path, step: int, when: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED, str(path), str(step), when]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(1, len(STEPS) + 1), ids=STEPS)
def test_a_kill_at_any_step_leaves_the_old_card_or_the_new(
    path: Path, step: int, when: str
) -> None:
    """The card is whole, no lock is left, and the next command goes on from there."""
    died = killed(path, step, when)
    assert died.returncode == 9, died.stderr
    replaced = step > STEPS.index("replace") + (when == "before")
    reader = open_card(path)
    speaker = host(reader)
    assert speaker.status()[10] == replaced
    assert speaker.send(SETUP)[1] == (0x9C07 if replaced else 0x9000)
    reader.close()


def test_those_are_all_steps(path: Path) -> None:
    lived = killed(path, len(STEPS) + 1, "before")
    assert lived.stdout.split() == ["answered", str(len(STEPS))], lived.stderr


def test_a_card_signs_in_either_half_and_never_twice_the_same() -> None:
    secret, digest = 32 * b"\x21", 32 * b"\x42"
    public = PrivateKey(secret).public_key.format()
    signatures = [sign_high_or_low(secret, digest) for _ in range(64)]
    assert all(signs_digest(public, der, digest) for der in signatures)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    assert 8 < sum(compact(der)[1] > order // 2 for der in signatures) < 56
    assert len({compact(der)[0] for der in signatures}) == 64


def test_the_family_makes_and_revives_its_cards(family: CardFamily) -> None:
    card = family.emulate(PROFILE)
    assert isinstance(card, Emulator)
    assert family.revive(card.state()).state() == card.state()
