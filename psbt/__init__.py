"""Pure functions over policies and PSBTs; modules are named by the roles of BIP 174."""
