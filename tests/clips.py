"""Clips made with PyAV for the tests of video.py, and what is in the clips that it writes."""

import contextlib
import io
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from conftest import draw

import video

PROGRAM = Path(video.__file__)
# As cheap as painting gets: one shallow layer of random filters, few evaluations.
CHEAP = [
    *("--weights=random", "--precision=float32", "--iter=1", "--evaluations=3"),
    *("--frame_evaluations=3", "--content_layers=block1_conv2", "--style_layers=block1_conv1"),
]


def program(*arguments, **popen) -> subprocess.CompletedProcess:
    """The real program, as people start it."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=280, **popen)


def command(*arguments) -> list[str]:
    return [sys.executable, str(PROGRAM), *map(str, arguments)]


def here(*arguments) -> tuple[int, str, str]:
    """The same in this process, which has imported everything."""
    return in_process(video.main, *arguments)


def in_process(main: Callable, *arguments) -> tuple[int, str, str]:
    """A command line's (exit code, stdout, stderr)."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as end:  # of argparse
            code = end.code
    return code, out.getvalue(), errors.getvalue()


def pan(count: int, size=(48, 64), step: int = 2, seed: int = 1) -> list[np.ndarray]:
    """Frames of a window that moves across a picture, uint8 (H, W, 3)."""
    rows, columns = size
    picture = np.asarray(draw(rows, columns + step * count, seed).convert("RGB"))
    return [picture[:, step * n : step * n + columns].copy() for n in range(count)]


def write(path, frames, times=None, unit=Fraction(1, 24), **choices) -> Path:
    """A clip that FFmpeg encodes.

    Args:
        frames: uint8 (H, W, 3), RGB; or av.VideoFrame, encoded as they are.
        times: in `unit`; by default one after the other.
        **choices: attributes of the codec's context, and `codec`, `options`, `sound` (packets of
            `tone`, muxed after the pictures), `skipped` (packets left out at the start).
    """
    codec, options = choices.pop("codec", "libx264"), choices.pop("options", {})
    sound, skipped = choices.pop("sound", None), choices.pop("skipped", 0)
    pixels = choices.pop("pix_fmt", "yuv420p")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options)
        first = frames[0]
        is_array = isinstance(first, np.ndarray)
        stream.height, stream.width = first.shape[:2] if is_array else (first.height, first.width)
        stream.pix_fmt = pixels
        stream.codec_context.time_base = unit
        for name, value in choices.items():
            setattr(stream.codec_context, name, value)
        other = container.add_stream(sound, rate=48000) if sound else None
        packets = []
        for time, frame in zip(times or range(len(frames)), frames, strict=False):
            if is_array:
                frame = av.VideoFrame.from_ndarray(frame, format="rgb24")
            frame.pts, frame.time_base = time, unit
            packets += stream.encode(frame)
        packets += stream.encode()
        packets = packets[skipped:]
        if other:
            packets += tone(other, Fraction(len(frames)) * unit)
        for packet in packets:
            container.mux(packet)
    return Path(path)


def tone(stream, seconds) -> list:
    """Packets of a rising tone."""
    at = np.arange(round(48000 * seconds)) / 48000
    samples = (0.3 * np.sin(2 * np.pi * (300 + 400 * at) * at)).astype(np.float32)
    packets = []
    for start in range(0, len(samples), 960):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], "fltp", "mono")
        frame.rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        packets += stream.encode(frame)
    return packets + stream.encode()


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a display matrix (a, b, c, d) into an MP4: x' = a·x + c·y, y' = b·x + d·y."""
    content = bytearray(path.read_bytes())
    box = content.index(b"tkhd")
    one = 1 << 16
    a, b, c, d = (one * value for value in matrix)
    # Version 0 (ISO/IEC 14496-12, 8.3.2): 40 bytes of other fields lie before the matrix.
    assert content[box + 4] == 0
    struct.pack_into(">9i", content, box + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def shown(path) -> list[tuple[Fraction, np.ndarray]]:
    """When each frame of a clip is shown, in seconds, and the frame, uint8 (H, W, 3)."""
    with av.open(str(path)) as container:
        return [
            (frame.pts * frame.time_base, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def times_of(path) -> list[Fraction]:
    return [time for time, _ in shown(path)]


def sound_of(path) -> list[tuple[Fraction, bytes]]:
    """When each packet of sound is played, in seconds, and its bytes."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.size
        ]


# H.273, equations 38 to 46: how R'G'B' becomes Y'CbCr.
LUMA = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722)}
NUMBER = {"BT.601": 6, "BT.709": 1}
BARS = np.array(
    [
        *((255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0)),
        *((255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0), (128, 128, 128), (200, 120, 60)),
    ],
    np.uint8,
)


def bars(rows: int = 32, wide: int = 8) -> np.ndarray:
    """Color bars, uint8 (H, W, 3)."""
    return np.tile(np.repeat(BARS, wide, axis=0)[None], (rows, 1, 1))


def to_ycc(rgb: np.ndarray, matrix: str, full: bool, bits: int = 8) -> np.ndarray:
    """(H, W, 3) in 0..255 to Y'CbCr of so many bits, in float64, by the standard's formulas."""
    red, blue = LUMA[matrix]
    r, g, b = np.moveaxis(rgb / 255.0, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)
    step, top = 2 ** (bits - 8), 2**bits - 1
    if full:
        planes = luma * top, *(c * top + 2 ** (bits - 1) for c in chroma)
    else:
        planes = (219 * luma + 16) * step, *((224 * c + 128) * step for c in chroma)
    return np.clip(np.rint(np.stack(planes, axis=-1)), 0, top)


def from_ycc(ycc: np.ndarray, matrix: str, full: bool) -> np.ndarray:
    """The inverse of `to_ycc` for 8 bits, in float64, 0..255."""
    red, blue = LUMA[matrix]
    y, cb, cr = np.moveaxis(ycc.astype(np.float64), -1, 0)
    luma, scale = (y / 255, 255) if full else ((y - 16) / 219, 224)
    b = luma + (2 - 2 * blue) * (cb - 128) / scale
    r = luma + (2 - 2 * red) * (cr - 128) / scale
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return 255 * np.stack([r, g, b], axis=-1)


def planes(ycc: np.ndarray, bits: int) -> av.VideoFrame:
    """Y'CbCr as a frame, 4:4:4."""
    name = "yuv444p" if bits == 8 else f"yuv444p{bits}le"
    frame = av.VideoFrame(ycc.shape[1], ycc.shape[0], name)
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    for plane, values in zip(frame.planes, np.moveaxis(ycc, -1, 0), strict=True):
        lines = np.zeros((plane.height, plane.line_size // np.dtype(kind).itemsize), kind)
        lines[:, : plane.width] = values
        plane.update(lines.tobytes())
    return frame
