import stat
from pathlib import Path

import pytest

from coordinator.errors import SettingsError
from coordinator.home.settings import Home, create_home, default_folder, open_home


def test_a_home_is_private_and_reads_back(tmp_path: Path) -> None:
    made = create_home(tmp_path / "h", "regtest")
    assert open_home(tmp_path / "h") == made == Home(tmp_path / "h", "regtest", "regtest:")
    assert stat.S_IMODE((tmp_path / "h").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "h" / "settings.toml").stat().st_mode) == 0o600


def test_a_home_is_not_made_twice(tmp_path: Path) -> None:
    create_home(tmp_path, "signet")
    with pytest.raises(SettingsError, match="home already"):
        create_home(tmp_path, "regtest")


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear aunt")
    tmp_path.chmod(0o755)
    with pytest.raises(SettingsError, match="other things"):
        create_home(tmp_path, "regtest")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_a_home_that_was_cut_off_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "settings.toml.new").write_text("network =")
    create_home(tmp_path, "regtest")
    assert open_home(tmp_path).network == "regtest"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("")
    with pytest.raises(SettingsError, match="cannot read"):
        create_home(tmp_path / "h", "regtest")


@pytest.mark.parametrize(
    ("network", "chain"), [("moonnet", None), ("mainnet", "regtest:"), ("regtest", "ftp://x")]
)
def test_what_does_not_go_together(tmp_path: Path, network: str, chain: str | None) -> None:
    with pytest.raises(SettingsError):
        create_home(tmp_path / "h", network, chain)
    assert not (tmp_path / "h" / "settings.toml").exists()


@pytest.mark.parametrize(
    "text", ["", "network = 3", 'network = "regtest"', "\xff", 'network = "x"\nchain = "none:"']
)
def test_impossible_settings_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"settings\.toml"):
        open_home(tmp_path)


def test_the_variable_names_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDQUORUM_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere")
