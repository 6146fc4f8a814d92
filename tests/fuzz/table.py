"""Every target, by name."""

from tests.fuzz import card_targets, node_targets, psbt_targets, text_targets, wallet_targets
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (psbt_targets, text_targets, card_targets, node_targets, wallet_targets)
    for target in module.TARGETS
}
