"""Part 5: what a stranger with a URL may read."""
