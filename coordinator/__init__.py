"""The verbs: enrol, spend, sign, audit. This room alone knows the other three."""
