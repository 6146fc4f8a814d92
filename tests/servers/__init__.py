"""Servers the chain sources are tried against, each in front of an embedded regtest chain."""
