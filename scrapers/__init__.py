"""Talk to providers and turn their words into offers. May import store."""
