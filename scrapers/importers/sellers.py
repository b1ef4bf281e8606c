"""Who a history means by a name: our slug for it.

A name that is not here becomes its own slug, so that a new seller costs no row.
"""

import re

SELLERS = {
    "cudo": "cudo_compute",
    "datacrunch": "verda",  # the company's name until 2025; its pages say verda.com now
    "google": "gcp",
    "google cloud": "gcp",
    "jarvis labs": "jarvislabs",
    "lambda": "lambda_labs",
    "lambda cloud": "lambda_labs",
    "latitude.sh": "latitude",
    "microsoft azure": "azure",
    "oblivus cloud": "oblivus",
    "oracle cloud": "oracle",
    "runpod.io": "runpod",
    "ovhcloud": "ovh",
}


def slug(name: str) -> str:
    """Return the slug of a seller: "Oracle Cloud" → "oracle", "Mystic AI" → "mystic_ai"."""
    folded = " ".join(name.casefold().split())
    return SELLERS.get(folded) or re.sub(r"[^a-z0-9]+", "_", folded).strip("_")
