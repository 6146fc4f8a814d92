"""What the vaults own, kept in step with the chain."""
