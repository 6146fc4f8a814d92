"""--camera: a payment goes from screen to camera and back; what cannot be seen is said."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence

from coordinator.errors import UsageError
from coordinator.interop import camera
from tests.cli.test_money import STRANGER, pay, sign
from tests.cli.test_offline import offline
from tests.interop.test_qr_pictures import photographed
from tests.program import Asked, run_program

__all__ = ["offline"]


def filmed(screen: Path, *, skip: int = 0) -> Iterator[Any]:
    """Yield what a camera sees of the codes on a screen, from one of them on, again and again."""
    stills = []
    with Image.open(screen) as shown:
        for each in ImageSequence.Iterator(shown):
            still = io.BytesIO()
            each.convert("L").save(still, "PNG")
            stills.append(Image.open(io.BytesIO(photographed(still.getvalue()))))
    for _ in range(2):
        yield from stills[skip:]
        yield from stills[:skip]


def before_camera(monkeypatch: pytest.MonkeyPatch, frames: Iterator[Any]) -> None:
    monkeypatch.setattr(camera, "camera_frames", lambda _: frames)


@pytest.mark.parametrize(
    ("there", "back"), [("ur", "bbqr"), pytest.param("bbqr", "pmofn", marks=pytest.mark.matrix)]
)
def test_a_payment_goes_and_comes_back_before_cameras(
    vault: Asked,
    offline: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: str,
    back: str,
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    screen = tmp_path / "screen.gif"
    vault("spend", "export", made["ceremony"], "--format", there, "--out", str(screen))
    before_camera(monkeypatch, filmed(screen, skip=2))
    opened = offline("spend", "import", "v", "--camera")
    assert opened["review"]["outputs"] == made["review"]["outputs"]
    assert sign(offline, opened["ceremony"], "a", "c")["complete"]
    offline("spend", "export", opened["ceremony"], "--format", back, "--out", str(screen))
    before_camera(monkeypatch, filmed(screen))
    assert vault("spend", "add", made["ceremony"], "--camera", "--device", "1")["complete"]
    vault("spend", "finalize", made["ceremony"])
    assert vault("spend", "broadcast", made["ceremony"])["txid"]


def test_a_vault_and_a_finished_payment_come_before_a_camera(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coordinator.interop import qr_pictures, qr_text  # noqa: PLC0415 -- needs the extra qr

    parts = vault("vault", "export", "v", "--format", "bbqr")["text"].split()
    screen = tmp_path / "screen.gif"
    screen.write_bytes(qr_pictures.drawn(parts, ".gif"))
    before_camera(monkeypatch, filmed(screen))
    assert vault("vault", "import", "--camera", "--name", "w")["known"]
    made = pay(vault, "--to", f"{STRANGER}:400000")
    sign(vault, made["ceremony"], "a", "b")
    raw = bytes.fromhex(vault("spend", "finalize", made["ceremony"])["hex"])
    screen.write_bytes(qr_pictures.drawn(qr_text.bbqr.split(raw, "T", 224), ".gif"))
    before_camera(monkeypatch, filmed(screen))
    assert vault("tx", "broadcast", "--camera")["ceremony"] == made["ceremony"]


def test_the_person_sees_what_is_missing(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    screen = tmp_path / "screen.gif"
    vault("spend", "export", made["ceremony"], "--format", "bbqr", "--out", str(screen))
    before_camera(monkeypatch, iter(list(filmed(screen))[1:2]))
    ended = run_program(vault.home, "spend", "add", made["ceremony"], "--camera", check=2)
    assert "hold the codes before the camera" in ended.err
    assert "codes, missing: 1, 3" in ended.err
    assert "the camera stopped" in ended.err


def test_ctrl_c_ends_it_and_nothing_is_kept(vault: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> Iterator[Any]:
        yield Image.new("L", (40, 40), 255)
        raise KeyboardInterrupt

    before_camera(monkeypatch, interrupted())
    vault("spend", "import", "v", "--camera", check=130)
    assert vault("spend", "list")["ceremonies"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("spend", "add", "abcd2345"),
        ("spend", "import", "v"),
        ("tx", "broadcast"),
        ("vault", "import", "--name", "w"),
        ("key", "import", "--name", "w"),
        ("recover", "--name", "w"),
    ],
)
def test_a_file_or_the_camera_and_what_to_install(
    vault: Asked, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    assert "name a FILE" in vault(*words, check=2)["error"]["message"]
    both = vault(*words, "x.psbt", "--camera", check=2)["error"]["message"]
    assert "give one of them" in both

    def missing(_: int) -> Iterator[Any]:
        raise UsageError(camera.EXTRA)

    monkeypatch.setattr(camera, "camera_frames", missing)
    assert "cardquorum[camera]" in vault(*words, "--camera", check=2)["error"]["message"]
