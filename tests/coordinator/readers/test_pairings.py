from pathlib import Path

from coordinator.readers.slots import FolderMemory


def test_what_is_kept_comes_back_in_another_process(tmp_path: Path) -> None:
    FolderMemory(tmp_path / "m").write("card", b"one")
    memory = FolderMemory(tmp_path / "m")
    assert memory.read("card") == b"one"
    memory.write("card", b"two")
    assert memory.read("card") == b"two"
    assert memory.read("other") is None


def test_forgetting_leaves_the_others(tmp_path: Path) -> None:
    memory = FolderMemory(tmp_path)
    memory.write("a", b"1")
    memory.write("b", b"2")
    memory.forget("a")
    memory.forget("a")
    assert (memory.read("a"), memory.read("b")) == (None, b"2")


def test_files_are_private_and_inside_whatever_the_card_calls_itself(tmp_path: Path) -> None:
    FolderMemory(tmp_path / "m").write("../../etc/x", b"1")
    (file,) = (tmp_path / "m").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
