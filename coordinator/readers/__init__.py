"""Where cards lie: real readers and emulated cards, and how one is opened."""
