"""Picture files as bytes: their kind, the size they declare, and a copy without metadata.

Odd metadata (EXIF, XMP, color profiles, text, resolutions) must never keep a picture from being
read: if Pillow fails on a file, it gets a copy without metadata.
"""

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_WEBP_DROPPED = {b"EXIF", b"XMP ", b"ICCP"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif"}
# Tags of TIFF 6.0 that give the place and coding of the pixels.
_TIFF_KEPT = {
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320),
    *(322, 323, 324, 325, 332, 338, 339, 347, *range(512, 522), 529, 530, 531, 532),
}


def kind_of(data: bytes) -> str:
    """A file's kind by its first bytes, or `` for one that is not told apart here.

    png, jpeg, webp, tiff, gif, heic, avif; and drawings: eps, svg, pdf.
    """
    if data[4:8] == b"ftyp":
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, _box_end(data), 4))}
        if brands & {b"avif", b"avis"}:
            return "avif"
        return "heic" if brands & _HEIC_BRANDS else ""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    beginnings = {
        "png": (_PNG,),
        "jpeg": (b"\xff\xd8\xff",),
        "gif": (b"GIF8",),
        "eps": (b"%!PS", b"\xc5\xd0\xd3\xc6"),  # the second: with a preview, from DOS
        "pdf": (b"%PDF",),
        "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    }
    for kind, first in beginnings.items():
        if data.startswith(first):
            return kind
    text = data.lstrip(b"\xef\xbb\xbf \t\r\n")  # a byte order mark and white space may come first
    return "svg" if text.startswith(b"<") and b"<svg" in text else ""


def _box_end(data: bytes) -> int:
    return min(int.from_bytes(data[:4], "big"), 256, len(data))


def webp_size(data: bytes) -> tuple[int, int]:
    """(columns, rows) that a WebP file declares (its container specification, RFC 9649).

    Pillow allocates memory for a WebP picture before it checks the size.
    """
    chunk, content = data[12:16], data[20:30]
    if len(content) < 10:
        return 0, 0
    if chunk == b"VP8X":
        return (
            1 + int.from_bytes(content[4:7], "little"),
            1 + int.from_bytes(content[7:10], "little"),
        )
    if chunk == b"VP8L":
        bits = int.from_bytes(content[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    columns, rows = struct.unpack("<HH", content[6:10])
    return columns & 0x3FFF, rows & 0x3FFF


def without_metadata(data: bytes) -> bytes | None:
    """A copy of a file that has only its pixels; None if the kind is unknown here."""
    functions = {"png": _bare_png, "jpeg": _bare_jpeg, "webp": _bare_webp, "tiff": _bare_tiff}
    function = functions.get(kind_of(data))
    try:
        return function(data) if function else None
    except (struct.error, IndexError):
        return None  # too damaged even for its structure to be read


def _bare_png(data: bytes) -> bytes:
    """W3C's PNG specification, section 5: length, kind, content, checksum."""
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if kind in _PNG_KEPT:
            kept.append(data[at:end])
        if kind == b"IEND":
            break
        at = end
    return b"".join(kept)


def _bare_jpeg(data: bytes) -> bytes:
    """ITU-T T.81, annex B: markers with a length, up to the first scan."""
    kept, at = [data[:2]], 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1  # Pillow also skips to the next marker
            continue
        marker = data[at + 1]
        if marker == 0xDA:  # start of scan
            break
        if marker == 0xFF or marker == 0 or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        # APP14 tells whether the colors are YCbCr; other APP segments and comments are metadata.
        if not (0xE0 <= marker <= 0xEF and marker != 0xEE) and marker != 0xFE:
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])


def _bare_webp(data: bytes) -> bytes:
    """RFC 9649, section 2.3: chunks of kind, length and content, padded to even lengths."""
    kept, at = [], 12
    while at + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[at : at + 8])
        end = at + 8 + length + length % 2
        if kind == b"VP8X":  # clear its flags for the chunks that are dropped: ICC, EXIF, XMP
            kept.append(data[at : at + 8] + bytes([data[at + 8] & ~0x2C]) + data[at + 9 : end])
        elif kind not in _WEBP_DROPPED:
            kept.append(data[at:end])
        at = end
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _bare_tiff(data: bytes) -> bytes | None:
    """TIFF 6.0, section 2: the first directory, in place, with only its tags about pixels."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack(order + "H", data[2:4])[0] != 42:
        return None  # BigTIFF
    (start,) = struct.unpack(order + "I", data[4:8])
    (count,) = struct.unpack(order + "H", data[start : start + 2])
    entries = [data[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count)]
    kept = [
        entry
        for entry in entries
        if len(entry) == 12 and struct.unpack(order + "H", entry[:2])[0] in _TIFF_KEPT
    ]
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    return data[:start] + directory + data[start + len(directory) :]
