"""Bitcoin Core: a watch-only descriptor wallet per vault, asked through its RPC."""
