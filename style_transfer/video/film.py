"""Reads clips from files that FFmpeg can read, through PyAV."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from style_transfer.errors import InputError
from style_transfer.parsing import SMALLEST_SIDE
from style_transfer.srgb import one_line
from style_transfer.video.clip import Shown, refused
from style_transfer.video.needs import needed

# ITU-T H.273, table 4, matrix coefficients, as FFmpeg's swscale expects them; 5 is BT.601.
BT709, BT601 = 1, 5
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}
LIMITED, FULL = 1, 2  # FFmpeg's color ranges
HDR = {16: "PQ", 18: "HLG"}  # H.273, table 3, transfer characteristics
# Players assume BT.709 from these sizes up if a clip does not name its matrix.
HIGH_DEFINITION = {"width": 1280, "height": 577}
# A picture's orientation by the signs of its display matrix: x' = a·x + c·y, y' = b·x + d·y.
UPRIGHT = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
MOST_FAULTS = 10_000  # in one file before the rest of it is skipped


class Film:
    """A clip in a file with a video stream; see `Clip`.

    Raises:
        InputError: FFmpeg finds no video in it.
    """

    def __init__(self, path: Path):
        self.path = path
        self.remarks: list[str] = []
        with open_film(path) as container:
            self.unit = Fraction(video_stream(container, path).time_base)

    def files(self) -> list[Path]:
        """The file."""
        return [self.path]

    def frames(self) -> Iterator[Shown]:
        """See `Clip`."""
        last = None
        with open_film(self.path) as container:
            stream = video_stream(container, self.path)
            stream.thread_type = "NONE"  # gives the same frames every time, even of damaged files
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            step = max(1, round(1 / (rate * self.unit)))
            aspect = stream.sample_aspect_ratio or Fraction(1)
            for frame in self._decoded(container, stream):
                time = frame.pts if frame.pts is not None else frame.dts
                if time is None or (last is not None and time <= last):
                    time = 0 if last is None else last + step  # the time is missing or wrong
                last = time
                yield Shown(time, frame.duration or step, partial(self._image, frame, aspect))
        if last is None:
            raise refused(self.path, "no frame of it can be decoded")

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        """Frames as FFmpeg decodes them; leaves out damaged ones, with a remark.

        Also leaves out frames before the first key frame, which some decoders turn into gray
        ghosts.
        """
        faults, packets, begun, early = 0, container.demux(stream), False, False
        while faults < MOST_FAULTS:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                begun = begun or packet.is_keyframe
                if not begun:
                    early = early or packet.size > 0
                    continue
                frames = packet.decode()
            except (needed("av").error.FFmpegError, EOFError):
                faults += 1
                continue
            whole = [frame for frame in frames if not frame.is_corrupt]
            faults += len(frames) - len(whole)
            yield from whole
        if early:
            self._remark(
                f"CLIP: {str(self.path)!r} does not start with a key frame: everything before its "
                "first one is left out."
            )
        if faults:
            self._remark(f"CLIP: {str(self.path)!r} is damaged: unreadable frames are left out.")

    def _remark(self, line: str) -> None:
        if line not in self.remarks:
            self.remarks.append(line)

    def _image(self, frame: Any, aspect: Fraction) -> Image.Image:
        """A frame turned upright, with square pixels."""
        if min(frame.width, frame.height) < SMALLEST_SIDE:
            raise InputError(
                f"CLIP: expected frames of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels. "
                f"Received: {str(self.path)!r}, {frame.width} x {frame.height}"
            )
        if frame.color_trc in HDR:
            self._remark(
                f"CLIP: {str(self.path)!r} is HDR ({HDR[frame.color_trc]}) and is read without "
                "conversion, so its colors look dull. Convert it to SDR first."
            )
        image = rgb_image(frame)
        if aspect != 1:
            columns = max(1, round(image.width * aspect))
            image = image.resize((columns, image.height), Image.Resampling.LANCZOS)
        turn = upright(frame)
        return image if turn is None else image.transpose(turn)


def open_film(path: Path) -> Any:
    """Open the file with PyAV.

    Raises:
        InputError: FFmpeg cannot read it.
    """
    av = needed("av")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise refused(path, one_line(error)) from None


def video_stream(container: Any, path: Path) -> Any:
    """The first stream of moving pictures (not an audio file's cover).

    Raises:
        InputError: there is none.
    """
    for stream in container.streams.video:
        cover = stream.disposition & needed("av").stream.Disposition.attached_pic
        if not cover and stream.time_base and stream.codec_context is not None:
            return stream
    raise refused(path, "it has no video")


def matrix_of(frame: Any) -> int:
    """The matrix between a frame's Y'CbCr and RGB, as swscale expects it."""
    known = MATRICES.get(int(frame.colorspace))
    if known is not None:
        return known
    large = any(getattr(frame, side) >= least for side, least in HIGH_DEFINITION.items())
    return BT709 if large else BT601


def rgb_image(frame: Any) -> Image.Image:
    """A decoded frame as a picture of mode RGB, 8 bits; blends transparent parts with white."""
    flags = needed("av").video.reformatter.Interpolation
    # Colors at every pixel, and exact rounding: by default swscale halves the colors' columns.
    exact = flags.BICUBIC | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP | flags.ACCURATE_RND
    see_through = any(component.is_alpha for component in frame.format.components)
    options: dict[str, Any] = {"interpolation": exact}
    if not frame.format.is_rgb:
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        options |= {
            "src_colorspace": matrix_of(frame),
            "dst_colorspace": BT709,  # has no effect on RGB
            "src_color_range": FULL if full else LIMITED,
            "dst_color_range": FULL,
        }
    converted = frame.reformat(format="rgba" if see_through else "rgb24", **options)
    image = Image.fromarray(converted.to_ndarray())
    if see_through:
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(image, mask=image.getchannel("A"))
        return on_white
    return image


def upright(frame: Any) -> Image.Transpose | None:
    """The transposition that turns a frame upright, by the display matrix that cameras write."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("<9i", bytes(data)[:36])
            signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
            return UPRIGHT.get(signs)
    return None
