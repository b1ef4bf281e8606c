"""One module per provider, and nothing else in this folder."""
