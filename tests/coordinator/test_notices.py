import ast
import re
from pathlib import Path

from coordinator.audit.acceptance import Danger
from coordinator.notices import Notice, Severity, of_review
from coordinator.wallet.news import News
from psbt import review_warnings

ROOT = Path(__file__).parents[2]


def test_a_sentence_says_what_is_wrong_and_what_to_do() -> None:
    assert Notice("no_copy", Severity.DANGER, "no copy", "print one").sentence == (
        "no copy: print one"
    )
    assert Notice("no_copy", Severity.DANGER, "no copy").sentence == "no copy"


def test_the_warnings_of_a_review_become_notices_of_the_same_severity() -> None:
    said = [
        review_warnings.Caution(each.value, each, each.name) for each in review_warnings.Severity
    ]
    found = of_review(said)
    assert [(each.code, each.severity.value, each.message) for each in found] == [
        (each.code, each.severity.value, each.message) for each in said
    ]
    assert {type(each.severity) for each in found} == {Severity}


def test_dangers_and_news_are_notices() -> None:
    assert issubclass(Danger, Notice)
    assert issubclass(News, Notice)


def test_no_other_class_of_the_coordinator_is_a_sentence_with_a_code() -> None:
    others = [
        f"{path.name}: {node.name}"
        for path in (ROOT / "coordinator").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for fields in [
            {ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)}
        ]
        if {"code", "message"} <= fields and not re.fullmatch("Notice|Failure", node.name)
    ]
    assert others == []
