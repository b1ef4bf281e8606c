"""EC2's Query API: requests signed with Signature Version 4, answers in XML.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html, computed by botocore,
which comes with the extra `gputape[aws]`. The signature travels in headers, never in the
address: addresses are kept.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

from gputape.scrapers.adapter import Http
from gputape.scrapers.errors import Changed, Unconfigured
from gputape.scrapers.page import Page

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""The variables that every AWS tool reads; the last one belongs to temporary keys only."""
VERSION = "2016-11-15"


def ask(http: Http, region: str, asked: Mapping[str, str]) -> Page:
    """Return EC2's answer in a region. Raises `Unconfigured` when it can not be signed."""
    query = urlencode({**asked, "Version": VERSION}, quote_via=quote, safe="")
    url = f"https://ec2.{region}.amazonaws.com/?{query}"
    return http.get(url, headers=headers(url, region, http.secret))


def headers(url: str, region: str, secret: Callable[[str], str | None]) -> dict[str, str]:
    """Return the headers that sign a GET to EC2, valid for a few minutes from now.

    `secret` returns the value of one of `KEYS`, or None.
    """
    access_key, secret_key, session_token = map(secret, KEYS)
    if not (access_key and secret_key):
        raise Unconfigured(f"set both {KEYS[0]} and {KEYS[1]}", url=url)
    try:
        from botocore.auth import SigV4Auth  # noqa: PLC0415  # an optional extra
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415  # same
        from botocore.credentials import Credentials  # noqa: PLC0415  # same
    except ImportError:
        raise Unconfigured(
            "AWS keys are set but botocore is missing: pip install 'gputape[aws]'", url=url
        ) from None
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(access_key, secret_key, session_token), "ec2", region).add_auth(request)
    return dict(request.headers.items())


def answer(page: Page) -> dict[str, Any]:
    """Read an answer into the words that the AWS command line prints.

    `<spotPriceHistorySet>` is the list `SpotPriceHistory` of `{"SpotPrice": …}`, `<nextToken>`
    is the text `NextToken`.
    """
    try:
        root = ET.fromstring(page.body)  # noqa: S314  # EC2's own words, and expat asks nobody
    except ET.ParseError as error:
        raise Changed(f"{page.url} is not XML: {error}", url=page.url) from error
    return {_name(part).removesuffix("Set"): _value(part) for part in root}


def _value(part: ET.Element) -> Any:
    if _name(part).endswith(("Set", "Info")):
        return [{_name(field): field.text or "" for field in item} for item in part]
    return part.text or ""


def _name(part: ET.Element) -> str:
    word = part.tag.rpartition("}")[2]
    return word[0].upper() + word[1:]
