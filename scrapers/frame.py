"""Whether a zstd file is whole, told from its blocks' headers without unpacking it.

A reader that reaches the end of a cut file just stops, and a shorter CSV is a CSV. Walking
the blocks of 300 MB takes milliseconds; what an altered byte does is the checksum's business.
Shape of a frame: RFC 8878, section 3.1.1.
"""

from pathlib import Path
from typing import BinaryIO

import zstandard

from gputape.store.errors import Damaged

RUN_LENGTH = 1  # a block of one byte, repeated
RESERVED = 3
CHECKSUM_BYTES = 4


def check_whole(path: Path) -> None:
    """Raise `Damaged` unless the file is one zstd frame to its last byte."""
    try:
        with path.open("rb") as file:
            whole = _is_whole(file, path.stat().st_size)
    except FileNotFoundError:
        raise Damaged(f"{path} is gone: this body can not be read again") from None
    except zstandard.ZstdError:
        whole = False
    if not whole:
        raise Damaged(f"{path} is damaged (it does not end where it should)")


def _is_whole(file: BinaryIO, size: int) -> bool:
    start = file.read(18)  # the longest header of a frame
    place = zstandard.frame_header_size(start)
    checksum = CHECKSUM_BYTES * zstandard.get_frame_parameters(start).has_checksum
    last = False
    while not last:
        file.seek(place)
        header = int.from_bytes(file.read(3), "little")
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        place += 3 + (1 if kind == RUN_LENGTH else length)
        if kind == RESERVED or place > size:
            return False
    return place + checksum == size
