"""Who may do what in a home's database on a server, as SQL for whoever owns it.

An operator adds rows, and changes or removes only what the program changes or removes; an auditor
reads. Neither changes the tables, and neither can rewrite the custody book, a signature or what a
vault's policy is. Neither makes functions or operators that triggers could come upon: before
PostgreSQL 15 everybody might.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Table

from storage.model import whole_schema

OPERATOR: Final = "cardquorum_operator"
AUDITOR: Final = "cardquorum_auditor"
VERSION: Final = "alembic_version"
UNCHANGED: Final = frozenset(
    {
        *("custody_event", "signature", "statement", "verification", "drill_proof"),
        *("vault_branch", "branch_key"),
    }
)
"""Tables whose rows stay as they were written."""
CHANGED_COLUMNS: Final = {
    "custody_text": ("text", "salt", "sealed"),
    "reservation": ("released_at",),
}
"""Columns that alone change in tables of which others stay."""
KEPT_COLUMNS: Final = {
    "vault": ("network", "threshold", "descriptor", "checksum", "script", "form", "created_at"),
    "cosigner": ("vault_id", "position", "key_id"),
    "key": ("network", "public_key", "chain_code"),
    "ceremony": (
        *("id", "public_id", "vault_id", "branch", "unit", "fee_sats", "paid_sats"),
        *("created_at", "lifetime_seconds", "opened_on"),
    ),
}
"""Columns that nobody changes in tables of which others change."""
REMOVED: Final = frozenset(
    {"card_secret", "chain_transaction", "coin", "descriptor_copy", "holder", "location", "seal"}
)
"""Tables of which rows go."""


def roles_sql(operators: Collection[str], auditors: Collection[str]) -> str:
    """Return the statements that make both roles and give them to these accounts.

    Running them again changes nothing; accounts have to exist.
    """
    lines = ["BEGIN;", "REVOKE CREATE ON SCHEMA public FROM PUBLIC;"]
    for role in (OPERATOR, AUDITOR):
        lines += [
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN;",
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$;",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};",
            f"GRANT USAGE ON SCHEMA public TO {role};",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};",
        ]
    lines.append(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {OPERATOR};")
    for table in whole_schema().sorted_tables:
        name = quoted(table.name)
        lines.append(f"GRANT INSERT ON {name} TO {OPERATOR};")
        if table.name in REMOVED:
            lines.append(f"GRANT DELETE ON {name} TO {OPERATOR};")
        if table.name not in UNCHANGED:
            lines.append(f"GRANT UPDATE{_columns(table)} ON {name} TO {OPERATOR};")
    lines += [f"GRANT {OPERATOR} TO {quoted(each)};" for each in operators]
    lines += [f"GRANT {AUDITOR} TO {quoted(each)};" for each in auditors]
    return "\n".join([*lines, "COMMIT;"]) + "\n"


def quoted(name: str) -> str:
    """Return a name as SQL writes any."""
    return '"' + name.replace('"', '""') + '"'


def _columns(table: Table) -> str:
    """Return which columns may be changed, nothing where all may."""
    kept = KEPT_COLUMNS.get(table.name, ())
    changed = CHANGED_COLUMNS.get(table.name)
    if not kept and changed is None:
        return ""
    names = changed or [each.name for each in table.columns if each.name not in kept]
    return f" ({', '.join(map(quoted, names))})"
