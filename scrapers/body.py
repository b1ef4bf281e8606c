"""A body as it arrives: unpacked, whole, and in time."""

import time
import zlib
from collections.abc import Iterator
from datetime import timedelta

import httpx

GZIP = 16 + zlib.MAX_WBITS
SLOWEST_BYTES_S = 50_000  # what a body must come to beyond our patience: 300 MB take their time


def decoded(response: httpx.Response) -> Iterator[bytes]:
    """Yield a body's bytes. httpx takes a gzip stream that ends in the middle for a whole one."""
    packed = response.headers.get("content-encoding", "").lower() in ("gzip", "x-gzip")
    if not packed or response.is_stream_consumed:  # a replayed one is whole
        yield from response.iter_bytes()
        return
    decoder, received = zlib.decompressobj(GZIP), False
    for raw in response.iter_raw():
        rest, received = raw, True
        while rest:
            if decoder.eof:  # another member (RFC 1952, 2.2)
                decoder = zlib.decompressobj(GZIP)
            try:
                yield decoder.decompress(rest)
            except zlib.error as error:
                raise httpx.DecodingError(str(error), request=response.request) from None
            rest = decoder.unused_data
    if received and not decoder.eof:
        raise httpx.RemoteProtocolError("gzip ends in the middle", request=response.request)


def in_time(response: httpx.Response, patience: timedelta) -> Iterator[bytes]:
    """Yield a body's chunks; one that only drips would pass every time-out and never end."""
    began = time.monotonic()
    for chunk in decoded(response):
        yield chunk
        late = time.monotonic() - began - patience.total_seconds()
        if late > 0 and response.num_bytes_downloaded < SLOWEST_BYTES_S * late:
            raise httpx.ReadTimeout(
                f"{response.num_bytes_downloaded} bytes in {patience}", request=response.request
            )
