"""The recovery kit, and a vault rebuilt from it."""
