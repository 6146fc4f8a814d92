"""A payment goes out by file and codes, and comes back by file, text, picture and camera."""

import base64
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from coordinator.interop import qr_pictures, qr_text
from tests.cli.test_money import STRANGER
from tests.program import PIN, UNPROVED, Asked
from tests.web.browser import Client
from tests.web.chromium import launched, window
from tests.web.conftest import serving

MATRIX = pytest.mark.matrix


class Out(NamedTuple):
    """A payment that waits here, and its PSBT as another computer signed it."""

    here: Asked
    payment: str
    signed: bytes


@pytest.fixture
def out(vault: Asked, tmp_path: Path) -> Out:
    address = vault("address", "new", "v", *UNPROVED)["address"]
    made = vault("spend", "create", "v", "--to", f"{address}:100000", "--feerate", "2")
    shutil.copytree(vault.home, tmp_path / "elsewhere")
    other = Asked(tmp_path / "elsewhere")
    words = ("--emulated", "a", "--pin-stdin", "--yes")
    other("spend", "sign", made["ceremony"], *words, stdin=PIN)
    psbt = other("spend", "show", made["ceremony"])["psbt"]
    return Out(vault, made["ceremony"], base64.b64decode(psbt))


@pytest.fixture
def client_out(out: Out) -> Iterator[Client]:
    with serving(out.here.home) as page:
        client = Client(page)
        client.enter()
        yield client


def came_back(client: Client, out: Out, **fields: str) -> str:
    path = f"/exchange/{out.payment}"
    answer = client.post(f"{path}/back", fields, on=path)
    return client.get(answer.headers["location"]).words if answer.status == 303 else answer.words


def test_a_payment_goes_out_once_somebody_asked_for_it(client_out: Client, out: Out) -> None:
    path = f"/exchange/{out.payment}"
    assert client_out.get(f"{path}/psbt").status == 400
    client_out.post(path, on=path)
    asked = base64.b64decode(out.here("spend", "show", out.payment)["psbt"])
    assert client_out.get(f"{path}/psbt").body == asked
    for kind in ("ur", "bbqr"):
        shown = client_out.get(f"{path}?as={kind}").text
        gif = base64.b64decode(shown.partition("data:image/gif;base64,")[2].partition('"')[0])
        assert qr_text.carried("\n".join(qr_pictures.codes(gif, "it"))) == asked


def test_it_comes_back_in_each_way(client_out: Client, out: Out) -> None:
    drawn = qr_pictures.drawn(qr_text.payment_lines(out.signed, "bbqr"), ".gif")
    ways = [
        {"file": base64.b64encode(out.signed).decode()},
        {"file": base64.b64encode(drawn).decode()},
        *({"text": "\n".join(qr_text.payment_lines(out.signed, w))} for w in ("hex", "ur", "bbqr")),
    ]
    assert "new signatures were taken" in came_back(client_out, out, **ways[0])
    assert out.here("spend", "show", out.payment)["have"] == 1
    for fields in ways[1:]:  # read as well, and nothing new
        assert "No new signature" in came_back(client_out, out, **fields)


def test_what_is_no_payment_is_refused(client_out: Client, out: Out) -> None:
    for junk in ("", "%%%", "cHNidP8=", "bm90aGluZw=="):
        assert "Not done" in came_back(client_out, out, file=junk)
    assert out.here("spend", "show", out.payment)["have"] == 0


@pytest.mark.parametrize(
    ("called", "told"),
    [
        pytest.param("signed by ben.psbt", "The file “signed by ben.psbt”: ", marks=MATRIX),
        ("\u202etbsp.\u200b<b>", r"The file “\u202etbsp.\u200b<b>”: "),
        pytest.param("x" * 500 + ".psbt", f"The file “{'x' * 40}…{'x' * 35}.psbt”: ", marks=MATRIX),
        pytest.param("", "", marks=MATRIX),
    ],
)
def test_a_refusal_names_the_file_it_is_about(
    client_out: Client, out: Out, called: str, told: str
) -> None:
    path = f"/exchange/{out.payment}"
    fields = {"file": base64.b64encode(b"nothing").decode(), "called": called}
    for answer in (
        client_out.post(f"{path}/back", fields, on=path),
        client_out.post("/exchange/import", {"vault": "v", **fields}, on="/exchange"),
    ):
        assert answer.status == 400
        assert f"Not done {told}" in answer.words
        assert bool(told) == ("The file" in answer.words.partition("<form")[0])
        assert "\u202e" not in answer.text


def test_what_was_pasted_has_no_name(client_out: Client, out: Out) -> None:
    path = f"/exchange/{out.payment}"
    answer = client_out.post(f"{path}/back", {"text": "nothing", "called": "x.psbt"}, on=path)
    assert "x.psbt" not in answer.words
    assert ">nothing</textarea>" in answer.text  # nothing typed is lost


def test_a_finished_payment_is_taken_to_another_computer(client_out: Client, out: Out) -> None:
    path = f"/exchange/{out.payment}"
    assert client_out.get(f"{path}/transaction").status == 400
    for label in "ab":
        words = ("--emulated", label, "--pin-stdin", "--yes")
        out.here("spend", "sign", out.payment, *words, stdin=PIN)
    final = out.here("spend", "finalize", out.payment)["hex"]
    assert f"tx broadcast {out.payment}.txn" in client_out.get(path).words
    saved = client_out.get(f"{path}/transaction")
    assert saved.text == final
    assert f"{out.payment}.txn" in saved.headers["content-disposition"]


def test_a_payment_made_elsewhere_is_opened(client_out: Client, out: Out) -> None:
    fields = {"vault": "v", "file": base64.b64encode(out.signed).decode()}
    answer = client_out.post("/exchange/import", fields, on="/exchange")
    assert answer.headers["location"].startswith(f"/exchange/{out.payment}")


def test_a_frame_is_read_and_not_kept(client_out: Client, out: Out) -> None:
    before = sorted(each.name for each in out.here.home.rglob("*"))
    parts = qr_text.payment_lines(out.signed, "bbqr")
    frame = qr_pictures.drawn(parts[:1], ".png")
    own = {"origin": f"http://{client_out.host}"}
    read = client_out.ask("POST", "/frame", frame, own)
    assert parts[0] in read.text
    assert "no code can be read" in client_out.ask("POST", "/frame", b"\xff\xd8\xff", own).text or (
        "cannot be read" in client_out.ask("POST", "/frame", b"\xff\xd8\xff", own).text
    )
    assert client_out.ask("POST", "/frame", frame, {"origin": "http://evil.example"}).status == 403
    missing = client_out.ask("POST", "/whole", parts[0].encode(), own).text
    assert "missing" in missing
    assert client_out.ask("POST", "/whole", "\n".join(parts).encode(), own).text == (
        '{"missing":null}'
    )
    assert before == sorted(each.name for each in out.here.home.rglob("*"))


def filmed(parts: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return the options of a browser whose camera sees these codes, one after the other."""
    film = folder / "codes.mjpeg"
    with film.open("wb") as file:
        for part in parts:
            still = folder / "still.png"
            still.write_bytes(qr_pictures.drawn([part], ".png"))
            frame = Image.new("RGB", (640, 480), "white")
            code = Image.open(still).convert("RGB").resize((440, 440), Image.Resampling.NEAREST)
            frame.paste(code, (100, 20))
            for _ in range(10):
                frame.save(file, "JPEG", quality=90, subsampling=2)
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )


@MATRIX
def test_a_moving_code_is_read_by_the_camera(out: Out, tmp_path: Path) -> None:
    played = filmed(qr_text.payment_lines(out.signed, "bbqr"), tmp_path)
    with (
        launched(*played) as browser,
        serving(out.here.home) as running,
        window(browser, running, permissions=["camera"]) as opened,
    ):
        opened.go(f"/exchange/{out.payment}")
        opened.page.get_by_role("button", name="Read a moving code").click()
        opened.page.get_by_text("All of it was read.").wait_for(timeout=60_000)
        opened.page.get_by_role("button", name="Take the signatures").click()
        opened.page.get_by_text("new signatures were taken").wait_for()
        assert opened.wrong == []
        assert opened.faults() == []


@MATRIX
def test_a_payment_code_is_scanned(vault: Asked, tmp_path: Path) -> None:
    played = filmed([f"bitcoin:{STRANGER}?amount=0.002&label=roof"], tmp_path)
    with (
        launched(*played) as browser,
        serving(vault.home) as running,
        window(browser, running, permissions=["camera"]) as opened,
    ):
        for path, field in (("/receive/check", "#address"), ("/pay/new/v", "#to")):
            opened.go(path)
            opened.page.get_by_role("button", name="Read the code with the camera").click()
            opened.page.get_by_text("It was read.").wait_for(timeout=60_000)
            assert STRANGER in opened.page.locator(field).input_value()
            assert opened.faults() == []
        opened.page.get_by_role("button", name="Show me the payment").click()
        opened.page.get_by_role("heading", name="Sign it").wait_for()
        assert opened.wrong == []
    (payment,) = vault("spend", "list")["ceremonies"]
    review = vault("spend", "show", payment["ceremony"])["review"]
    assert {(STRANGER, 200_000)} <= {(e["address"], e["value_sats"]) for e in review["outputs"]}
