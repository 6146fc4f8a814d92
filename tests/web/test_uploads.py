"""A file chosen in a browser: sent as it is chosen, once it was read, and not too large."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coordinator.web import request_checks, uploads
from tests.program import Asked
from tests.web.chromium import launched, window
from tests.web.conftest import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WRONG = "() => document.getElementById('chosen').validationMessage"


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with launched() as found:
        yield found


def test_the_largest_file_fits_into_a_form() -> None:
    assert uploads.FILE_MAX * 4 / 3 * 1.1 < request_checks.BODY_MAX


def test_a_file_is_not_kept_with_the_answer_to_its_form() -> None:
    assert uploads.typed({"file": "bm8=", "text": "x"}) == {"text": "x"}


@pytest.mark.matrix
def test_a_file_is_chosen_changed_and_taken_back(
    browser: "Browser", vault: Asked, tmp_path: Path
) -> None:
    small, large, photo = (tmp_path / name for name in ("no kit.txt", "large.bin", "photo.png"))
    small.write_text("nothing of a kit")
    with large.open("wb") as file:
        file.truncate(uploads.FILE_MAX + 1)
    photo.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(8_000_000))  # as a telephone takes them
    with serving(vault.home) as running, window(browser, running) as opened:
        page = opened.page
        opened.go("/recover")
        page.locator("#name").fill("back")
        bring = page.get_by_role("button", name="Bring it back")
        page.locator("#chosen").set_input_files(large)
        bring.click()
        assert page.evaluate(WRONG) == "It is too large: at most 20 MiB are read."
        assert page.url.endswith("/recover")
        for chosen, told in (
            (photo, "The file “photo.png” cannot be read as a picture"),
            (small, "The file “no kit.txt”: "),
        ):
            page.locator("#chosen").set_input_files(chosen)
            page.locator("[data-drop].chosen").wait_for()
            bring.click()
            page.get_by_text(told).wait_for()
            assert page.locator("#name").input_value() == "back"
            assert opened.faults() == []
        page.locator("#chosen").set_input_files(small)
        page.locator("[data-drop].chosen").wait_for()
        page.locator("#chosen").set_input_files([])
        assert not page.locator("[data-drop].chosen").count()
        bring.click()
        page.get_by_text("Nothing was chosen or pasted").wait_for()
        assert [each for each in opened.wrong if "status of 400" not in each] == []
