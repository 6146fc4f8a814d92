"""The folder of one home: its settings, backups, approvals, and keys as stored."""
