"""Everything that speaks APDU: transports, sessions, families of cards."""
