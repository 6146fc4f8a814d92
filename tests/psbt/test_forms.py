"""Which expressions are policies with branches, and what is said of those that are not."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psbt.errors import PolicyError
from psbt.forms import Branch, Wait, key_uses, quorums_of
from psbt.miniscript import (
    DEPTH_MAX,
    Given,
    operations,
    parse,
    pushed_number,
    satisfied,
    script,
    witness_size,
    write,
)
from psbt.network import Network
from psbt.policy import Policy, format_descriptor, parse_descriptor
from tests.psbt.branch_vaults import BLOCKS, FORMS, branch_vault

POLICY = branch_vault("several later keys").policy
BODY = format_descriptor(POLICY).partition("#")[0]


def nested(depth: int) -> str:
    return "and_v(v:pk(a)," * depth + "pk(a)" + ")" * depth


def test_expressions_are_nested_forty_deep_at_most() -> None:
    assert write(*parse(nested(DEPTH_MAX))) == nested(DEPTH_MAX)
    with pytest.raises(PolicyError, match="no expression"):
        parse(nested(DEPTH_MAX + 1))
    assert DEPTH_MAX == 40


def test_an_item_of_a_witness_costs_its_length_too() -> None:
    assert witness_size((b"", bytes(252), bytes(253))) == 1 + (1 + 252) + (3 + 253)


@pytest.mark.parametrize(("sizes", "taken"), [((72, 70), 1), ((70, 72), 0)])
def test_a_threshold_takes_what_costs_least_beside_leaving_it_out(
    sizes: tuple[int, int], taken: int
) -> None:
    node = parse("thresh(1,pk(a),a:pkh(b))").node
    signatures = {place: bytes([place + 1]) * size for place, size in enumerate(sizes)}
    stack = satisfied(node, Given((b"\x02" * 33, b"\x03" * 33), signatures))
    assert stack is not None
    assert [place for place in signatures if signatures[place] in stack] == [taken]


@pytest.mark.parametrize("name", FORMS)
def test_an_expression_is_written_as_it_was_read(name: str) -> None:
    parsed = parse(FORMS[name])
    assert write(parsed.node, parsed.keys) == FORMS[name]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("or_d(multi(2,a,b),pkh(c))", r"recognised are 2 of 2 keys; not recognised is pkh\(@2\)"),
        ("or_d(multi(2,a,b),and_v(v:sha256(c),older(9)))", "not recognised is and_v.v:sha256.…"),
        ("or_d(multi(2,a,b),and_v(v:pk(c),and_v(v:pk(d),older(9))))", "not recognised is and_v"),
        ("or_b(pk(a),s:pk(b))", r"not recognised is or_b\(…\): expected a form that is known"),
        ("or_c(pk(a),v:pk(b))", r"not recognised is or_c"),
        ("or_d(sortedmulti(2,a,b),and_v(v:pk(c),older(9)))", "not recognised is sortedmulti"),
        ("or_d(thresh(1,pkh(a),a:pkh(b)),and_v(v:pk(c),older(9)))", "as the primary branch"),
        ("or_d(multi(2,a,b),and_v(v:thresh(1,pk(c),s:pk(d)),older(9)))", "as a recovery branch"),
        ("or_d(multi(2,a,b),and_v(v:pk(c),older(4194305)))", "counts time; here .* for blocks"),
        ("or_d(multi(2,a,b),and_v(v:pk(c),older(65536)))", "1 to 65535 blocks can be counted"),
        ("or_d(multi(2,a,b),and_v(v:pk(c),older(0)))", "'0', which is no number from 1 on"),
        ("or_d(multi(2,a,b),and_v(v:pk(c),older(09)))", "'09', which is no number"),
        ("or_d(multi(2,a,b),and_v(v:pk(c),after(500000000)))", "is no height: 1 to 499999999"),
        ("or_d(multi(3,a,b),and_v(v:pk(c),older(9)))", "primary branch asks for 3 signatures of 2"),
        ("or_d(multi(2,a,b),and_v(v:multi(3,c,d),older(9)))", "recovery branch asks for 3"),
        ("or_d(multi(2,a,a),and_v(v:pk(c),older(9)))", "a key stands in the primary branch twice"),
        ("or_d(multi(2,a,b),and_v(v:pk(a),older(9)))", "in two branches with the same keychains"),
        (
            "or_i(and_v(v:pk(d),after(9)),or_d(multi(2,a,b),and_v(v:pk(c),older(9))))",
            "waits for blocks in one branch and for a height in another",
        ),
        (
            "or_i(and_v(v:pk(d),older(9)),or_d(multi(2,a,b),and_v(v:pk(c),older(9))))",
            "open after the same wait, 9 blocks",
        ),
        (
            "or_i(and_v(v:pk(e),older(7)),or_i(and_v(v:pk(d),older(8)),"
            "or_d(multi(2,a,b),and_v(v:pk(c),older(9)))))",
            "3 recovery branches, of which 2 at most can be here",
        ),
        ("thresh(1,pk(a),s:pk(b),sln:older(9))", "recovery branch asks for 0 signatures of 2"),
        ("thresh(3,pk(a),s:pk(b),sln:older(9))", "primary branch asks for 3 signatures of 2"),
        ("thresh(2,pk(a),s:pk(b),s:pk(c))", "not recognised is thresh"),
        ("andor(older(9),multi(1,a,b),multi(2,c,d))", "not recognised is andor"),
        ("andor(ln:older(9),multi(1,a,b),pk(c))", "not recognised is andor"),
        ("multi(2,a,b)", r"not recognised is multi\(2,@0,@1\): expected a form"),
        ("or_i(multi(2,a,b),and_v(v:pk(c),older(9)))", r"not recognised is multi.* as a recovery"),
    ],
)
def test_what_is_no_known_form_is_told(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        quorums_of(parse(text).node)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("or_d(multi(2,a,b),and_v(v:pk(c),older(9))", "no expression|brackets"),
        ("or_d(multi(2,a,b)),and_v(v:pk(c),older(9))", "no expression|brackets"),
        ("or_d(,)", "'' is no expression"),
        ("pk()", "'' is no key"),
        ("pk(a,b)", "pk has 2 arguments"),
        ("or_i(pk(a))", "or_i has 1 arguments"),
        ("and_v(v(pk(a)),older(9))", r"not recognised is and_v.v\(…\)"),
        ("or_d(multi(2,a,b),l(pk(a)))", r"not recognised is l\(…\)"),
        ("thresh(2,pk(a),s(pk(b)),sln(older(9)))", "not recognised is thresh"),
        ("andor(a(pk(a)),multi(1,a),multi(1,b))", "not recognised is andor"),
        ("multi(2,a,)", "'' is no key"),
        ("multi(2,pk(a),b)", "is no key"),
        ("multi(x,a)", "'x', which is no number"),
        ("or_d(" * 10_000, "no expression|brackets"),
        ("and_v(" * (DEPTH_MAX + 2) + "a" + ",a)" * (DEPTH_MAX + 2), "no expression"),
        ("", "no expression"),
    ],
)
def test_what_is_no_expression_is_told(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        quorums_of(parse(text).node)


@given(st.text(alphabet="orandvlsthpkmuliei_()@:,0123456789", max_size=60))
@settings(max_examples=200)
def test_no_text_fails_otherwise_than_with_a_policy_error(text: str) -> None:
    try:
        quorums_of(parse(text).node)
    except PolicyError:
        return


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BODY.replace("wsh(", "sh(wsh(") + ")", "nor a policy with recovery branches in wsh"),
        (BODY.replace("wsh(", "sh("), "nor a policy with recovery branches in wsh"),
        (BODY.replace("<0;1>", "<2;3>", 1).replace("<0;1>", "0", 1), "key 2 must derive"),
        (BODY.replace("older", "olden"), "not recognised is and_v"),
        (BODY + "#qqqqqqqq", "checksum is"),
    ],
)
def test_a_descriptor_of_another_form_is_refused(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        parse_descriptor(text, Network.REGTEST)


def later(policy: Policy, **change: object) -> Policy:
    """Return the policy with its recovery changed."""
    return replace(policy, recoveries=(policy.recoveries[0]._replace(**change),))


def test_a_policy_refuses_branches_that_cannot_be() -> None:
    first = POLICY.recoveries[0]
    with pytest.raises(PolicyError, match="4 of 3 keys is no recovery branch"):
        later(POLICY, threshold=4)
    with pytest.raises(PolicyError, match="named recovery and recovery-2, in order"):
        later(POLICY, name="heirs")
    with pytest.raises(PolicyError, match="keys 1 and 3 are the same key"):
        later(POLICY, keys=(first.keys[0], first.keys[1], first.keys[0]))
    with pytest.raises(PolicyError, match="used again with keychains that it has already, <1;2>"):
        later(POLICY, keys=(POLICY.uses[0]._replace(keychains=(1, 2)), *first.keys))
    with pytest.raises(PolicyError, match="need the script wsh, not sh-wsh"):
        replace(POLICY, script="sh-wsh")
    with pytest.raises(PolicyError, match=r"older\(0\) is no wait"):
        later(POLICY, wait=Wait(blocks=0))
    with pytest.raises(PolicyError, match="no wait: 1 to 65535"):
        later(POLICY, wait=Wait(blocks=65_536))
    with pytest.raises(PolicyError, match=r"after\(0\) is no height"):
        later(POLICY, wait=None)
    with pytest.raises(PolicyError, match="not those of the policy's form"):
        replace(POLICY, form=branch_vault("one later key").policy.node)


def test_waits_go_up_and_are_of_one_kind() -> None:
    first = POLICY.recoveries[0]
    again = key_uses(POLICY.keys, POLICY.uses)
    for wait in (Wait(blocks=BLOCKS), Wait(blocks=BLOCKS - 1), Wait(height=9)):
        second = Branch("recovery-2", 1, again, wait)
        with pytest.raises(PolicyError, match=r"same wait|in the order|waits for blocks in one"):
            replace(POLICY, recoveries=(first, second))


def test_a_script_that_counts_too_many_operations_is_refused() -> None:
    keys = [f"k{number}" for number in range(45)]
    parts = [
        f"thresh(2,pkh({own[0]}),{','.join(f'a:pkh({key})' for key in own[1:])})"
        for own in (keys[15:30], keys[30:])
    ]
    text = (
        f"or_i(and_v(v:{parts[0]},older(9)),"
        f"or_d(multi(2,{','.join(keys[:15])}),and_v(v:{parts[1]},older(8))))"
    )
    assert operations(parse(text).node) > 201
    with pytest.raises(PolicyError, match="operations; 201 can be run"):
        quorums_of(parse(text).node)


@pytest.mark.parametrize("name", FORMS)
def test_operations_are_those_of_the_script(name: str) -> None:
    node = branch_vault(name).policy.node
    code = script(node, [bytes([2, number]) + bytes(31) for number in range(9)])
    at, counted = 0, 0
    while at < len(code):
        pushes = code[at] if code[at] <= 75 else 0
        counted += code[at] > 0x60
        at += 1 + pushes
    multis = sum(len(keys) for keys in multis_of(node))
    assert operations(node) == counted + multis


@pytest.mark.parametrize(
    ("number", "push"),
    [(1, "51"), (16, "60"), (17, "0111"), (127, "017f"), (128, "028000"), (255, "02ff00"),
     (32_767, "02ff7f"), (32_768, "03008000"), (65_535, "03ffff00"), (499_999_999, "04ff64cd1d")],
)  # fmt: skip
def test_a_number_is_pushed_in_its_shortest_form(number: int, push: str) -> None:
    assert pushed_number(number).hex() == push


def multis_of(node: object) -> list[tuple[int, ...]]:
    own = [node.keys] if node.name == "multi" else []
    return [*own, *(keys for each in node.arguments for keys in multis_of(each))]
