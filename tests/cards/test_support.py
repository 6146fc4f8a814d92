from cards.family import families
from tests.support_matrix import CAPABILITIES, README, readme


def test_the_support_matrix_is_fresh() -> None:
    assert README.read_text() == readme(), "run: python -m tests.support_matrix"


def test_evidence_is_claimed_for_capabilities_only() -> None:
    claimed = {name for family in families() for name in family.evidence}
    assert claimed <= set(CAPABILITIES)


def test_every_family_has_the_same_files() -> None:
    same = {"__init__", "answers", "attestation", "channel", "commands", "link", "roots"}
    same |= {"session", "wire", "emulator", "emulator_keys", "emulator_memory"}
    for family in families():
        found = {path.stem for path in README.with_name(family.name).glob("*.py")}
        assert found == same, family.name
        assert README.with_name(family.name).joinpath("README.md").exists()
