"""Which image format bytes are in, by their first bytes alone: the file's name and its sender are not asked."""

ALLOWED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x00\x00\x01\x00", "Windows icon"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"v/1\x01", "OpenEXR"),
    (b"DDS ", "DDS"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"gimp xcf", "GIMP"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}


def sniff(content: bytes) -> str:
    """Return the name of the format, allowed or not, or an empty string for bytes of no known one."""
    for magic, name in _MAGIC:
        if content.startswith(magic):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    # Two letters alone would take much text for a bitmap; the four reserved bytes are always zero.
    if content[:2] == b"BM" and content[6:10] == bytes(4):
        return "BMP"
    if content[4:8] == b"ftyp":
        return _sniff_brands(content)
    return "SVG" if b"<svg" in content[:1024].lower() else ""


def ends_early(content: bytes, image_format: str) -> bool:
    """Whether the file lacks the end that its format prescribes. Formats that prescribe none: False."""
    if image_format == "JPEG":
        return b"\xff\xd9" not in content[-4096:]
    if image_format == "PNG":
        return b"IEND" not in content[-4096:]
    if image_format == "GIF":
        return b"\x3b" not in content[-16:]
    if image_format == "WEBP":
        return int.from_bytes(content[4:8], "little") + 8 > len(content)
    if image_format == "BMP":
        return int.from_bytes(content[2:6], "little") > len(content)
    return False


def _sniff_brands(content: bytes) -> str:
    box = content[: min(int.from_bytes(content[:4], "big"), 256)]
    brands = [box[8:12], *(box[start : start + 4] for start in range(16, len(box), 4))]
    known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    if "AVIF" in known:
        return "AVIF"
    return known[0] if known else "video"
