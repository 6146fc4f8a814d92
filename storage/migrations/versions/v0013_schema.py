"""The whole schema of 0.2.0, in place of the twelve versions that grew before it.

The numbers 0001 to 0012 were those: they are never given again, so that a home of then is known.
"""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import (
    BIG,
    BOOLEAN,
    BYTES,
    INTEGER,
    TEXT,
    TIME,
    check,
    optional,
    refers,
    refuse,
    required,
    unique_while,
)

revision = "0013"
down_revision = None

SAME = "NEW.event_id = OLD.event_id AND NEW.field = OLD.field AND NEW.digest = OLD.digest"
NO_TEXT = "NEW.text IS NULL AND NEW.salt IS NULL"
ERASED = f"{NO_TEXT} AND NEW.sealed IS NULL"
SEALED = f"{NO_TEXT} AND NEW.sealed IS NOT NULL AND OLD.text IS NOT NULL"
UNSEALED = "NEW.text IS NOT NULL AND NEW.sealed IS NULL AND OLD.sealed IS NOT NULL"
TEXT_MAY = f"{SAME} AND (({ERASED}) OR ({SEALED}) OR ({UNSEALED}))"


def upgrade() -> None:
    """Make every table."""
    _cards()
    _custody()
    _card_secrets()
    _seal()
    _vaults()
    _drills()
    _descriptor_copies()
    _chain()
    _node_rules()
    _ceremonies()
    _succession()
    _labels()


def _cards() -> None:
    op.create_table(
        "key",
        required("id", INTEGER),
        required("label", TEXT),
        required("network", TEXT),
        required("fingerprint", BYTES),
        required("path", TEXT),
        required("public_key", BYTES),
        required("chain_code", BYTES),
        required("depth", INTEGER),
        required("parent_fingerprint", BYTES),
        required("child_number", BIG),
        required("created_on", TEXT),
        required("created_at", TIME),
        optional("made_at", TIME),
        check("ck_key_created_on_known", "created_on IN ('card', 'host', 'unknown', 'elsewhere')"),
        check("ck_key_child_number_range", "child_number BETWEEN 0 AND 4294967295"),
        check("ck_key_depth_range", "depth BETWEEN 0 AND 255"),
        check("ck_key_chain_code_size", "length(chain_code) = 32"),
        check("ck_key_fingerprint_size", "length(fingerprint) = 4"),
        check("ck_key_parent_fingerprint_size", "length(parent_fingerprint) = 4"),
        check("ck_key_public_key_size", "length(public_key) = 33"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key")),
        sa.UniqueConstraint("label", name=op.f("uq_key_label")),
        sa.UniqueConstraint("public_key", "chain_code", name=op.f("uq_key_public_key_chain_code")),
    )
    op.create_table(
        "item",
        required("id", INTEGER),
        required("kind", TEXT),
        required("name", TEXT),
        required("created_at", TIME),
        optional("retired_at", TIME),
        check(
            "ck_item_kind_known",
            "kind IN ('card', 'plate', 'words', 'backup-file', 'backup-key', 'file', 'bag', "
            "'copy')",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
    )
    unique_while("retired_at", "uq_live_kind_name", "item", columns=["kind", "name"])
    op.create_table(
        "card",
        required("id", INTEGER),
        required("label", TEXT),
        required("family", TEXT),
        required("card_id", TEXT),
        required("version", TEXT),
        required("emulated", BOOLEAN),
        optional("emulator_name", TEXT),
        required("item_id", INTEGER),
        required("attestation", TEXT),
        required("attestation_reason", TEXT),
        required("attested_at", TIME),
        required("siblings", INTEGER),
        required("enrolled_at", TIME),
        optional("checked_at", TIME),
        optional("forgotten_at", TIME),
        check("ck_card_attestation_known", "attestation IN ('genuine', 'test', 'unproven')"),
        check("ck_card_emulated_named", "emulated = (emulator_name IS NOT NULL)"),
        check("ck_card_siblings_least", "siblings >= 0"),
        refers("fk_card_item_id", "item_id", "item.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card")),
        sa.UniqueConstraint("item_id", name=op.f("uq_card_item_id")),
    )
    unique_while("forgotten_at", "uq_live_family_card_id", "card", columns=["family", "card_id"])
    unique_while("forgotten_at", "uq_live_label", "card", columns=["label"])
    op.create_table(
        "carrier",
        required("id", INTEGER),
        required("key_id", INTEGER),
        required("item_id", INTEGER),
        required("created_at", TIME),
        optional("retired_at", TIME),
        refers("fk_carrier_item_id", "item_id", "item.id"),
        refers("fk_carrier_key_id", "key_id", "key.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carrier")),
        sa.UniqueConstraint("key_id", "item_id", name=op.f("uq_carrier_key_id_item_id")),
    )
    op.create_index(op.f("ix_carrier_item_id"), "carrier", ["item_id"])


def _custody() -> None:
    op.create_table(
        "holder",
        required("id", INTEGER),
        required("name", TEXT),
        optional("limit_sats", BIG),
        optional("contact", TEXT),
        optional("sealed", BYTES),
        check("ck_holder_limit_sats_least", "limit_sats >= 0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holder")),
        sa.UniqueConstraint("name", name=op.f("uq_holder_name")),
    )
    op.create_table(
        "location",
        required("id", INTEGER),
        required("name", TEXT),
        required("kind", TEXT),
        optional("region", TEXT),
        optional("holder_id", INTEGER),
        optional("access", TEXT),
        optional("lead_hours", INTEGER),
        optional("sealed", BYTES),
        check(
            "ck_location_kind_known", "kind IN ('bank-vault', 'friend', 'home', 'office', 'other')"
        ),
        check("ck_location_lead_hours_least", "lead_hours >= 0"),
        refers("fk_location_holder_id", "holder_id", "holder.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location")),
        sa.UniqueConstraint("name", name=op.f("uq_location_name")),
    )
    op.create_table(
        "custody_event",
        required("id", INTEGER),
        required("item_id", INTEGER),
        required("event", TEXT),
        optional("location_id", INTEGER),
        required("happened_at", TIME),
        required("recorded_at", TIME),
        optional("photo_sha256", BYTES),
        required("previous", BYTES),
        required("hash", BYTES),
        check(
            "ck_custody_event_event_known",
            "event IN ('placed', 'moved', 'seen', 'sealed', 'opened', "
            "'lost', 'stolen', 'found', 'destroyed', 'corrected')",
        ),
        check("ck_custody_event_hash_size", "length(hash) = 32"),
        check("ck_custody_event_photo_sha256_size", "length(photo_sha256) = 32"),
        check("ck_custody_event_previous_size", "length(previous) = 32"),
        refers("fk_custody_event_item_id", "item_id", "item.id"),
        refers("fk_custody_event_location_id", "location_id", "location.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custody_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_custody_event_hash")),
        sa.UniqueConstraint("previous", name=op.f("uq_custody_event_previous")),
    )
    op.create_index(op.f("ix_custody_event_item_id"), "custody_event", ["item_id"])
    op.create_table(
        "custody_text",
        required("event_id", INTEGER),
        required("field", TEXT),
        optional("salt", BYTES),
        required("digest", BYTES),
        optional("text", TEXT),
        optional("sealed", BYTES),
        check("ck_custody_text_field_known", "field IN ('item', 'location', 'by', 'seal', 'note')"),
        check("ck_custody_text_erased_whole", "(text IS NULL) = (salt IS NULL)"),
        check("ck_custody_text_digest_size", "length(digest) = 32"),
        check("ck_custody_text_salt_size", "length(salt) = 32"),
        refers("fk_custody_text_event_id", "event_id", "custody_event.id"),
        sa.PrimaryKeyConstraint("event_id", "field", name=op.f("pk_custody_text")),
    )
    refuse("custody_event_unchanged", "UPDATE ON custody_event")
    refuse("custody_event_kept", "DELETE ON custody_event")
    refuse("custody_text_kept", "DELETE ON custody_text")
    refuse("custody_text_only_erased", f"UPDATE ON custody_text WHEN NOT ({TEXT_MAY})")


def _card_secrets() -> None:
    op.create_table(
        "card_secret",
        required("id", INTEGER),
        required("label", TEXT),
        required("card_id", INTEGER),
        required("kind", TEXT),
        required("created_at", TIME),
        check("ck_card_secret_kind_known", "kind IN ('pin', 'puk', 'pairing')"),
        refers("fk_card_secret_card_id", "card_id", "card.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_secret")),
        sa.UniqueConstraint("card_id", "kind", name=op.f("uq_card_secret_card_id_kind")),
        sa.UniqueConstraint("label", name=op.f("uq_card_secret_label")),
    )
    for name, column, target in (
        ("secret_known_by", "holder_id", "holder.id"),
        ("secret_written_at", "location_id", "location.id"),
    ):
        op.create_table(
            name,
            required("secret_id", INTEGER),
            required(column, INTEGER),
            refers(f"fk_{name}_{column}", column, target),
            refers(f"fk_{name}_secret_id", "secret_id", "card_secret.id"),
            sa.PrimaryKeyConstraint("secret_id", column, name=op.f(f"pk_{name}")),
        )


def _seal() -> None:
    op.create_table(
        "seal",
        required("id", INTEGER),
        required("sealing_key", BYTES),
        required("opening_key", BYTES),
        required("salt", BYTES),
        required("scrypt_n", INTEGER),
        required("scrypt_r", INTEGER),
        required("scrypt_p", INTEGER),
        required("scrubbed", BOOLEAN),
        check("ck_seal_only_one", "id = 1"),
        check("ck_seal_sealing_key_size", "length(sealing_key) = 32"),
        check("ck_seal_salt_size", "length(salt) = 32"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seal")),
    )


def _vaults() -> None:
    op.create_table(
        "vault",
        required("id", INTEGER),
        required("name", TEXT),
        required("network", TEXT),
        required("script", TEXT),
        required("threshold", INTEGER),
        required("descriptor", TEXT),
        required("checksum", TEXT),
        optional("birthday", TIME),
        optional("birthday_height", INTEGER),
        required("created_at", TIME),
        optional("retired_at", TIME),
        check("ck_vault_script_known", "script IN ('wsh')"),
        check("ck_vault_birthday_height_least", "birthday_height >= 0"),
        check("ck_vault_checksum_size", "length(checksum) = 8"),
        check("ck_vault_threshold_range", "threshold BETWEEN 1 AND 15"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault")),
        sa.UniqueConstraint("descriptor", name=op.f("uq_vault_descriptor")),
        sa.UniqueConstraint("name", name=op.f("uq_vault_name")),
    )
    op.create_table(
        "cosigner",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("position", INTEGER),
        required("key_id", INTEGER),
        required("label", TEXT),
        check("ck_cosigner_position_range", "position BETWEEN 0 AND 14"),
        refers("fk_cosigner_key_id", "key_id", "key.id"),
        refers("fk_cosigner_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cosigner")),
        sa.UniqueConstraint("vault_id", "key_id", name=op.f("uq_cosigner_vault_id_key_id")),
        sa.UniqueConstraint("vault_id", "position", name=op.f("uq_cosigner_vault_id_position")),
    )
    op.create_index(op.f("ix_cosigner_key_id"), "cosigner", ["key_id"])
    op.create_table(
        "verification",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("key_id", INTEGER),
        optional("card_id", INTEGER),
        required("at", TIME),
        required("matched", BOOLEAN),
        required("detail", TEXT),
        optional("policy_digest", BYTES),
        refers("fk_verification_card_id", "card_id", "card.id"),
        refers("fk_verification_key_id", "key_id", "key.id"),
        refers("fk_verification_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verification")),
    )
    op.create_index(op.f("ix_verification_vault_id"), "verification", ["vault_id"])


def _drills() -> None:
    op.create_table(
        "drill",
        required("id", INTEGER),
        required("public_id", TEXT),
        required("vault_id", INTEGER),
        required("message", TEXT),
        required("started_at", TIME),
        check("ck_drill_public_id_size", "length(public_id) = 8"),
        refers("fk_drill_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill")),
        sa.UniqueConstraint("public_id", name=op.f("uq_drill_public_id")),
    )
    op.create_index(op.f("ix_drill_vault_id"), "drill", ["vault_id"])
    op.create_table(
        "drill_proof",
        required("id", INTEGER),
        required("drill_id", INTEGER),
        required("pubkey", BYTES),
        required("signature", BYTES),
        required("card_id", INTEGER),
        required("card_version", TEXT),
        required("given_at", TIME),
        check("ck_drill_proof_pubkey_size", "length(pubkey) = 33"),
        check("ck_drill_proof_signature_size", "length(signature) = 64"),
        refers("fk_drill_proof_card_id", "card_id", "card.id"),
        refers("fk_drill_proof_drill_id", "drill_id", "drill.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill_proof")),
        sa.UniqueConstraint("drill_id", "pubkey", name=op.f("uq_drill_proof_drill_id_pubkey")),
    )


def _descriptor_copies() -> None:
    op.create_table(
        "descriptor_copy",
        required("id", INTEGER),
        required("item_id", INTEGER),
        required("vault_id", INTEGER),
        required("digest", BYTES),
        required("created_at", TIME),
        check("ck_descriptor_copy_digest_size", "length(digest) = 32"),
        refers("fk_descriptor_copy_item_id", "item_id", "item.id"),
        refers("fk_descriptor_copy_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_descriptor_copy")),
        sa.UniqueConstraint("item_id", name=op.f("uq_descriptor_copy_item_id")),
    )
    op.create_index(op.f("ix_descriptor_copy_vault_id"), "descriptor_copy", ["vault_id"])


def _chain() -> None:
    op.create_table(
        "address",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("branch", INTEGER),
        required("index", INTEGER),
        required("script_pubkey", BYTES),
        optional("issued_at", TIME),
        required("used", BOOLEAN),
        check("ck_address_index_range", '"index" BETWEEN 0 AND 2147483647'),
        check("ck_address_branch_known", "branch IN (0, 1)"),
        refers("fk_address_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address")),
        sa.UniqueConstraint(
            "vault_id", "branch", "index", name=op.f("uq_address_vault_id_branch_index")
        ),
    )
    op.create_index(op.f("ix_address_script_pubkey"), "address", ["script_pubkey"])
    op.create_table(
        "chain_transaction",
        required("id", INTEGER),
        required("txid", TEXT),
        required("raw", BYTES),
        optional("height", INTEGER),
        optional("block_hash", TEXT),
        optional("block_time", TIME),
        required("first_seen", TIME),
        check("ck_chain_transaction_block_whole", "(height IS NULL) = (block_hash IS NULL)"),
        check("ck_chain_transaction_height_least", "height >= 0"),
        check("ck_chain_transaction_txid_size", "length(txid) = 64"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_transaction")),
        sa.UniqueConstraint("txid", name=op.f("uq_chain_transaction_txid")),
    )
    op.create_table(
        "coin",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("txid", TEXT),
        required("vout", INTEGER),
        required("value_sats", BIG),
        required("branch", INTEGER),
        required("index", INTEGER),
        required("script_pubkey", BYTES),
        optional("height", INTEGER),
        required("coinbase", BOOLEAN),
        optional("spent_by", TEXT),
        optional("spent_height", INTEGER),
        check("ck_coin_spent_height_by_someone", "spent_height IS NULL OR spent_by IS NOT NULL"),
        check("ck_coin_value_sats_least", "value_sats >= 0"),
        check("ck_coin_vout_least", "vout >= 0"),
        refers("fk_coin_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coin")),
        sa.UniqueConstraint("txid", "vout", "vault_id", name=op.f("uq_coin_txid_vout_vault_id")),
    )
    op.create_index(op.f("ix_coin_spent_by"), "coin", ["spent_by"])
    op.create_index("ix_coin_unspent", "coin", ["vault_id", "spent_by"])
    op.create_table(
        "sync_state",
        required("vault_id", INTEGER),
        required("height", INTEGER),
        required("block_hash", TEXT),
        required("synced_at", TIME),
        refers("fk_sync_state_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("vault_id", name=op.f("pk_sync_state")),
    )
    op.create_table(
        "scan",
        required("vault_id", INTEGER),
        required("branch", INTEGER),
        required("from_height", INTEGER),
        required("reach", INTEGER),
        required("height", INTEGER),
        required("block_hash", TEXT),
        required("earlier_unknown", BOOLEAN),
        check("ck_scan_branch_known", "branch IN (0, 1)"),
        check("ck_scan_from_height_least", "from_height >= 0"),
        check("ck_scan_reach_least", "reach >= 0"),
        check("ck_scan_height_least", "height >= 0"),
        check("ck_scan_block_hash_size", "length(block_hash) = 64"),
        refers("fk_scan_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("vault_id", "branch", name=op.f("pk_scan")),
    )
    op.create_table(
        "chain_event",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("code", TEXT),
        required("txid", TEXT),
        optional("height", INTEGER),
        optional("replaced_by", TEXT),
        required("change_sats", BIG),
        required("noticed_at", TIME),
        check("ck_chain_event_code_known", "code IN ('unconfirmed', 'vanished')"),
        check("ck_chain_event_txid_size", "length(txid) = 64"),
        check("ck_chain_event_replaced_by_size", "length(replaced_by) = 64"),
        check("ck_chain_event_height_least", "height >= 0"),
        refers("fk_chain_event_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_event")),
    )
    op.create_index(op.f("ix_chain_event_vault_id"), "chain_event", ["vault_id"])


def _node_rules() -> None:
    op.create_table(
        "node_rules",
        required("id", INTEGER),
        required("minimum", INTEGER),
        required("replacement_step", INTEGER),
        required("datacarrier_size", INTEGER),
        required("bare_multisig", BOOLEAN),
        required("package_count", INTEGER),
        required("package_vsize", INTEGER),
        optional("median_time", BIG),
        required("told_at", TIME),
        check("ck_node_rules_one", "id = 1"),
        check("ck_node_rules_minimum_least", "minimum >= 0"),
        check("ck_node_rules_replacement_step_least", "replacement_step >= 0"),
        check("ck_node_rules_datacarrier_size_least", "datacarrier_size >= 0"),
        check("ck_node_rules_package_count_least", "package_count >= 1"),
        check("ck_node_rules_package_vsize_least", "package_vsize >= 1"),
        check("ck_node_rules_median_time_least", "median_time >= 0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_rules")),
    )


def _ceremonies() -> None:
    op.create_table(
        "ceremony",
        required("id", INTEGER),
        required("public_id", TEXT),
        required("vault_id", INTEGER),
        required("state", TEXT),
        required("psbt", BYTES),
        required("txid", TEXT),
        required("fee_sats", BIG),
        required("paid_sats", BIG),
        required("created_at", TIME),
        required("expires_at", TIME),
        required("lifetime_seconds", INTEGER),
        optional("opened_on", TEXT),
        optional("exported_at", TIME),
        optional("final_tx", BYTES),
        optional("consensus", TEXT),
        optional("broadcast_at", TIME),
        optional("confirmed_height", INTEGER),
        check(
            "ck_ceremony_state_known",
            "state IN ('collecting', 'complete', 'final', 'broadcast', 'confirmed', 'abandoned', "
            "'replaced')",
        ),
        check("ck_ceremony_final_checked", "(final_tx IS NULL) = (consensus IS NULL)"),
        check("ck_ceremony_expires_later", "expires_at > created_at"),
        check("ck_ceremony_fee_sats_least", "fee_sats >= 0"),
        check("ck_ceremony_public_id_size", "length(public_id) = 8"),
        check("ck_ceremony_txid_size", "length(txid) = 64"),
        check("ck_ceremony_paid_sats_least", "paid_sats >= 0"),
        refers("fk_ceremony_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ceremony")),
        sa.UniqueConstraint("public_id", name=op.f("uq_ceremony_public_id")),
    )
    op.create_index(op.f("ix_ceremony_txid"), "ceremony", ["txid"])
    op.create_index(op.f("ix_ceremony_vault_id"), "ceremony", ["vault_id"])
    op.create_table(
        "signature",
        required("id", INTEGER),
        required("ceremony_id", INTEGER),
        required("input_index", INTEGER),
        required("pubkey", BYTES),
        required("signature", BYTES),
        optional("card_id", INTEGER),
        required("received_at", TIME),
        check("ck_signature_input_index_least", "input_index >= 0"),
        check("ck_signature_pubkey_size", "length(pubkey) = 33"),
        check("ck_signature_signature_size", "length(signature) = 64"),
        refers("fk_signature_card_id", "card_id", "card.id"),
        refers("fk_signature_ceremony_id", "ceremony_id", "ceremony.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signature")),
        sa.UniqueConstraint(
            "ceremony_id",
            "input_index",
            "pubkey",
            name=op.f("uq_signature_ceremony_id_input_index_pubkey"),
        ),
    )
    op.create_table(
        "reservation",
        required("id", INTEGER),
        required("ceremony_id", INTEGER),
        required("txid", TEXT),
        required("vout", INTEGER),
        required("expires_at", TIME),
        optional("released_at", TIME),
        refers("fk_reservation_ceremony_id", "ceremony_id", "ceremony.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
    )
    op.create_index(op.f("ix_reservation_ceremony_id"), "reservation", ["ceremony_id"])
    unique_while("released_at", "uq_live_txid_vout", "reservation", columns=["txid", "vout"])


def _succession() -> None:
    op.create_table(
        "succession",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("successor_id", INTEGER),
        required("card_id", INTEGER),
        required("new_card_id", INTEGER),
        optional("ceremony_id", INTEGER),
        required("started_at", TIME),
        check("ck_succession_two_vaults", "vault_id <> successor_id"),
        refers("fk_succession_vault_id", "vault_id", "vault.id"),
        refers("fk_succession_successor_id", "successor_id", "vault.id"),
        refers("fk_succession_card_id", "card_id", "card.id"),
        refers("fk_succession_new_card_id", "new_card_id", "card.id"),
        refers("fk_succession_ceremony_id", "ceremony_id", "ceremony.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_succession")),
        sa.UniqueConstraint("vault_id", name=op.f("uq_succession_vault_id")),
        sa.UniqueConstraint("successor_id", name=op.f("uq_succession_successor_id")),
    )


def _labels() -> None:
    op.create_table(
        "label",
        required("id", INTEGER),
        required("type", TEXT),
        required("ref", TEXT),
        optional("label", TEXT),
        optional("origin", TEXT),
        optional("spendable", BOOLEAN),
        check(
            "ck_label_type_known",
            "type IN ('tx', 'addr', 'pubkey', 'input', 'output', 'xpub')",
        ),
        check("ck_label_outputs_freeze", "spendable IS NULL OR type = 'output'"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint("type", "ref", name=op.f("uq_label_type_ref")),
    )
    op.create_index(op.f("ix_label_ref"), "label", ["ref"])
