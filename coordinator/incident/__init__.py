"""Something is lost, stolen or opened: what to do, and a vault without the key that is gone."""
