"""The facts the project ships as data, and the fingerprint by which a scan names them."""

from functools import cache
from hashlib import sha256
from importlib.resources import files


@cache
def generation() -> str:
    """Return 12 hex digits that change when any fact file does."""
    digest = sha256()
    root = files("gputape.store")
    folders = (root, root.joinpath("instances"))
    for file in sorted((f for folder in folders for f in folder.iterdir()), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]
