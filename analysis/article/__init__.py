"""The source articles' figures: what they print, what is right, and how it is computed."""
