"""What a fire, a theft or a quarrel costs a vault: facts, findings, exact losses and thefts."""
