"""Undo Unix ``compress``, whose files end in .Z: Welch's LZW (1984) with codes of 9 to 16 bits.

Python's library can't.  A few kilobytes may unpack to gigabytes, so the caller says how much there may be.
"""

MAGIC = b"\x1f\x9d"
CLEAR = 256  # the code after which the table is empty again
_BYTES = [bytes([value]) for value in range(256)]


def unpack(packed: bytes, most: int) -> bytes:
    """Return what was packed.  Raises ValueError for damage, and for more than ``most`` bytes, packed or not."""
    flags = packed[2] if packed[:2] == MAGIC and len(packed) > 2 else 0
    widest, clears = max(10, flags & 31), flags & 128  # the program takes 9 for 10
    if not 9 <= flags & 31 <= 16 or flags & 96:
        raise ValueError("its header is no compress header")
    if len(packed) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    first = _BYTES + [b""] * (clears > 0)  # CLEAR stands for no bytes
    table, found, before = first.copy(), bytearray(), b""
    start, count, width = 3, 0, 9  # so many codes of this width have been read from byte ``start`` on
    while True:
        if len(table) >> width and width < widest:
            start, count, width = _next_group(start, count, width), 0, width + 1
        place, shift = divmod(count * width, 8)
        bits = packed[start + place : start + place + 3]
        if (left := 8 * len(bits) - shift) < width:
            if left >= 8:
                raise ValueError("it ends in the middle of a code")
            return bytes(found)
        code = (int.from_bytes(bits, "little") >> shift) & ((1 << width) - 1)
        count += 1
        if clears and code == CLEAR:
            start, count, width = _next_group(start, count, width), 0, 9
            table, before = first.copy(), b""
            continue
        if code < len(table):
            entry = table[code]
        elif code == len(table) and before:
            entry = before + before[:1]
        else:
            raise ValueError(f"code {code} stands for nothing")
        if before and len(table) >> widest == 0:
            table.append(before + entry[:1])
        found += entry
        before = entry
        if len(found) > most:
            raise ValueError(f"it unpacks to more than {most:,} bytes")


def _next_group(start: int, count: int, width: int) -> int:
    """Return the byte at which the next group begins: eight codes are written together, also if fewer count."""
    return start + -(-count // 8) * width
