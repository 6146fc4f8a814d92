from cards.family import families
from cards.support import CAPABILITIES, README, readme


def test_the_support_matrix_is_fresh() -> None:
    assert README.read_text() == readme(), "run: python -m cards.support"


def test_evidence_is_claimed_for_capabilities_only() -> None:
    claimed = {name for family in families() for name in family.evidence}
    assert claimed <= set(CAPABILITIES)
