"""Vaults of software keys for each form of recovery branches."""

from dataclasses import replace
from typing import Final

from psbt.codec import Psbt
from psbt.creator import create
from psbt.forms import KeyUse
from psbt.keys import fingerprint
from psbt.miniscript import parse
from psbt.network import Network
from psbt.policy import policy_of
from psbt.signer import signing_requests, with_signatures
from tests.psbt.soft_vault import Answers, SoftVault, soft_vault

BLOCKS: Final = 52_560
LATER: Final = 60_000
HEIGHT: Final = 700_100
"""Above the lock time that a test's payment has anyway."""

FORMS: Final = {
    "one later key": f"or_d(multi(2,0,1,2),and_v(v:pkh(3),older({BLOCKS})))",
    "several later keys": f"or_d(multi(2,0,1,2),and_v(v:multi(2,3,4,5),older({BLOCKS})))",
    "the same cards": f"or_d(multi(2,0,1,2),and_v(v:multi(1,0',1',2'),older({BLOCKS})))",
    "after a height": f"or_d(multi(2,0,1,2),and_v(v:multi(2,3,4,5),after({HEIGHT})))",
    "two stages": f"or_i(and_v(v:pkh(6),older({LATER})),"
    f"or_d(multi(3,0,1,2),and_v(v:multi(2,0',1',2'),older({BLOCKS}))))",
    "two stages of the same cards": f"or_i(and_v(v:multi(1,0'',1'',2''),older({LATER})),"
    f"or_d(multi(3,0,1,2),and_v(v:multi(2,0',1',2'),older({BLOCKS}))))",
    "two heights": f"or_i(and_v(v:pkh(6),after({HEIGHT + 99})),"
    f"or_d(multi(3,0,1,2),and_v(v:multi(2,3,4,5),after({HEIGHT}))))",
    "Liana, one key": f"or_d(pk(0),and_v(v:pkh(1),older({BLOCKS})))",
    "Liana, one key hashed": f"or_d(pkh(0),and_v(v:pk(1),older({BLOCKS})))",
    "Liana, thresh": "or_d(multi(2,0,1,2),and_v(v:thresh(2,pkh(3),a:pkh(4),a:pkh(5)),older(7)))",
    "Liana, or_i": f"or_i(and_v(v:pkh(3),older({BLOCKS})),multi(2,0,1,2))",
    "Liana, all of the first keys": "or_i(and_v(v:thresh(2,pkh(0'),a:pkh(1'),a:pkh(2')),older(17))"
    ",and_v(v:and_v(v:pk(0),pk(1)),pk(2)))",
    "Liana, two stages": "or_i(and_v(v:thresh(1,pkh(0''),a:pkh(1'')),older(300)),"
    "or_d(multi(2,0,1),and_v(v:thresh(2,pkh(3),a:pkh(4)),older(128))))",
    "Keeper, one stage": "or_d(multi(2,0,1,2),and_v(v:thresh(2,pkh(0'),a:pkh(1'),a:pkh(2'),"
    f"a:pkh(3)),after({HEIGHT})))",
    "Keeper, two stages": f"or_d(multi(2,0,1,2),or_i(and_v(v:pkh(4),after({HEIGHT + 9})),"
    f"and_v(v:thresh(2,pkh(0'),a:pkh(1'),a:pkh(2'),a:pkh(3)),after({HEIGHT}))))",
    "Nunchuk": f"andor(ln:older({BLOCKS}),multi(1,3,4,5),multi(2,0,1,2))",
    "decaying": f"thresh(3,pk(0),s:pk(1),s:pk(2),sln:older({BLOCKS}))",
}
"""A key is its cosigner's number; each apostrophe is one more use of it."""
OWN: Final = frozenset(list(FORMS)[:7])


def branch_vault(name: str) -> SoftVault:
    """Return a vault of this form, with the keys of every branch."""
    vault = soft_vault(1, 7)
    parsed = parse(FORMS[name])
    uses = [
        KeyUse(vault.policy.keys[int(text[0])], (2 * (len(text) - 1), 2 * len(text) - 1))
        for text in parsed.keys
    ]
    return replace(vault, policy=policy_of(parsed.node, uses, Network.REGTEST))


CASES: Final = [
    (name, branch.name) for name in FORMS for branch in branch_vault(name).policy.branches
]


def spend_by(vault: SoftVault, branch: str, values: list[int] | None = None) -> Psbt:
    """Create a payment with change that a branch makes."""
    values = values or [50_000, 60_000, 70_000]
    plan, previous = vault.creation(values, sum(values) - 80_000, 70_000)
    return create(replace(plan, branch=branch), previous)


def answers(vault: SoftVault, psbt: Psbt, branch: str, place: int) -> Answers:
    """Return what one key of a branch signs, at the full path from its master."""
    key = vault.policy.branch(branch).keys[place].expression
    master = next(m for m in vault.masters if fingerprint(m.pubkey) == key.fingerprint)
    requests = signing_requests(psbt, vault.policy, key, branch=branch)
    return [(request, master.at(request.path).sign(request.digest)) for request in requests]


def signed_by_branch(vault: SoftVault, psbt: Psbt, branch: str, *places: int) -> Psbt:
    """Return the payment signed by these keys of a branch."""
    for place in places:
        psbt = with_signatures(psbt, answers(vault, psbt, branch, place))
    return psbt


def last_keys(vault: SoftVault, branch: str) -> range:
    """Return the places of the last keys that are enough for a branch."""
    found = vault.policy.branch(branch)
    return range(len(found.keys) - found.threshold, len(found.keys))
