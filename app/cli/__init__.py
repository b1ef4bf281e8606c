"""The command line. One module per family of verbs; `main.py` lists them."""
