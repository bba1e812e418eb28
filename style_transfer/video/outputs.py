"""Writes a clip: MP4, WebM, GIF, WebP, or a folder of PNG pictures.

Encoders run in one thread, and containers have no dates, so the same frames make the same bytes.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.paths import expanded
from style_transfer.runs.files import TEMPORARY, sync
from style_transfer.video.clip import Timing
from style_transfer.video.film import BT709, FULL, LIMITED
from style_transfer.video.needs import needed
from style_transfer.video.sound import Sound
from style_transfer.video.webp import end_at

# Called for each pass over a clip's frames; uint8 (H, W, 3), RGB.
Frames = Callable[[], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Format:
    """How a kind of file is encoded.

    Attributes:
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the codec.
        pixels: FFmpeg's name of the pixel format.
        unit: seconds in one step of its times; None: any.
        crf: default of --crf; None: it has no such quality.
        largest_crf: the largest that the encoder accepts.
        sound: sound codecs that it can hold.
        options: the encoder's options.
        container_options: the container's options.
    """

    container: str
    codec: str
    pixels: str
    unit: Fraction | None = None
    crf: int | None = None
    largest_crf: int = 0
    sound: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    container_options: tuple[tuple[str, str], ...] = ()


FORMATS = {
    ".mp4": Format(
        "mp4",
        "libx264",
        "yuv420p",
        crf=18,
        largest_crf=51,
        sound=("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
        # Macroblock trees read memory that x264 has not set: the same frames, other bytes.
        options=(("preset", "slow"), ("threads", "1"), ("x264-params", "mbtree=0")),
        container_options=(("movflags", "+faststart"),),
    ),
    ".webm": Format(
        "webm",
        "libvpx-vp9",
        "yuv420p",
        unit=Fraction(1, 1000),
        crf=24,
        largest_crf=63,
        sound=("opus", "vorbis"),
        options=(("b", "0"), ("deadline", "good"), ("cpu-used", "2"), ("threads", "1")),
    ),
    ".gif": Format("gif", "gif", "pal8", unit=Fraction(1, 100)),
    ".webp": Format(
        "webp",
        "libwebp_anim",
        "bgra",
        unit=Fraction(1, 1000),
        options=(("quality", "80"), ("compression_level", "6")),
        container_options=(("loop", "0"),),  # forever, as FFmpeg's GIFs do by default
    ),
}
SHORTEST = {".gif": 2}  # steps of the shortest frame; players slow down shorter ones


def output_path(out: str | os.PathLike) -> Path:
    """The path of the clip to write; a name without an ending is a folder of PNG pictures.

    Raises:
        InputError: it has another ending.
    """
    path = expanded(out, "OUT")
    if path.suffix.lower() not in ("", *FORMATS):
        endings = ", ".join(FORMATS)
        raise InputError(
            f"OUT: expected a name that ends in {endings}, or a folder. Received: {str(path)!r}"
        )
    return path


def check_crf(path: Path, crf: int | None) -> None:
    """Raise InputError if a clip at this path cannot have this quality."""
    form = FORMATS.get(path.suffix.lower())
    if crf is None or (form and form.crf and 0 <= crf <= form.largest_crf):
        return
    if form and form.crf:
        raise InputError(
            f"--crf: expected 0 to {form.largest_crf} for {path.suffix}. Received: {crf}"
        )
    endings = " or ".join(ending for ending, form in FORMATS.items() if form.crf)
    raise InputError(f"--crf: expected with an OUT that ends in {endings}. Received: {crf}")


def is_folder(path: Path) -> bool:
    """Whether a clip at this path is a folder of PNG pictures."""
    return path.suffix.lower() not in FORMATS


def write_clip(
    path: Path,
    frames: Frames,
    timing: Timing,
    crf: int | None = None,
    sound: Sound | None = None,
    whole: Callable[[Path], object] = lambda unfinished: None,
) -> None:
    """Write a clip that appears at `path` only once it is complete.

    Args:
        path: a path with one of the endings in `FORMATS`, or of a folder.
        frames: as many frames as `timing` has times.
        timing: exact in MP4; rounded to milliseconds in WebM and WebP, to hundredths of a second in
            GIF.
        crf: quality of H.264 or VP9; None: the format's default.
        sound: copied into the clip; None: it is silent.
        whole: called with the path of the complete clip before it is moved to `path`.

    Raises:
        OSError: the disk is full, the folder is gone, …; `path` is then unchanged.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        if is_folder(path):
            _write_folder(temporary, frames)
        else:
            form = FORMATS[path.suffix.lower()]
            timing, frames = _in_steps_of(form.unit, timing, frames, SHORTEST.get(path.suffix, 1))
            if form.codec == "gif":
                _write_gif(temporary, form, frames, timing)
            else:
                _write_film(temporary, form, frames, timing, crf, sound)
            if form.container == "webp":
                end_at(temporary, timing.end - timing.times[0])
        whole(temporary)
        _put_in_place(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def _put_in_place(temporary: Path, path: Path) -> None:
    """Move a clip into place; the caller knows that an earlier folder there may be replaced."""
    if not path.is_dir():
        temporary.replace(path)
        return
    earlier = path.with_name(path.name + ".replaced" + TEMPORARY)
    _remove(earlier)
    path.replace(earlier)
    temporary.replace(path)
    _remove(earlier)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _write_folder(folder: Path, frames: Frames) -> None:
    _remove(folder)
    folder.mkdir(parents=True)
    for number, pixels in enumerate(frames()):
        file = folder / f"frame_{number:06d}.png"
        Image.fromarray(pixels).save(file)
        sync(file)


def _in_steps_of(unit: Fraction | None, timing: Timing, frames: Frames, shortest: int):
    """Times in steps of `unit`, each rounded separately, so that errors do not add up.

    Frames shorter than `shortest` steps are left out.
    """
    if unit is None:
        return timing, frames
    steps = [round(time * timing.unit / unit) for time in timing.times]
    kept: list[int] = []
    for number, step in enumerate(steps):
        if not kept or step - steps[kept[-1]] >= shortest:
            kept.append(number)
    times = [steps[number] for number in kept]
    end = max(round(timing.end * timing.unit / unit), times[-1] + shortest)
    chosen = set(kept)

    def some() -> Iterator[np.ndarray]:
        return (pixels for number, pixels in enumerate(frames()) if number in chosen)

    return Timing(unit, times, end), some


def _write_film(
    path: Path, form: Format, frames: Frames, timing: Timing, crf: int | None, sound: Sound | None
) -> None:
    with _container(path, form) as container:
        stream = container.add_stream(form.codec, rate=_plausible(timing.rate))
        quality = {"crf": str(form.crf if crf is None else crf)} if form.crf else {}
        stream.options = dict(form.options) | quality
        context = stream.codec_context
        context.pix_fmt = form.pixels
        context.time_base = timing.unit
        if form.pixels == "yuv420p":
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED
        copy = sound.copied_into(container) if sound else None
        pictures = (_frame(picture, form.pixels) for picture in frames())
        packets = _encoded(stream, pictures, timing)
        if copy:
            packets = copy.beside(packets)
        for packet in packets:
            container.mux(packet)


@contextlib.contextmanager
def _container(path: Path, form: Format) -> Iterator[Any]:
    """A file that PyAV writes; turns its errors into the system's."""
    av, options = needed("av"), dict(form.container_options)
    try:
        with av.open(str(path), "w", format=form.container, options=options) as container:
            container.flags |= av.container.core.Flags.bitexact.value
            yield container
        sync(path)
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _plausible(rate: Fraction) -> Fraction:
    """A rate that encoders accept, because they require one; times are exact without it."""
    return min(max(rate, Fraction(1, 100)), Fraction(1000)).limit_denominator(1001)


def _encoded(stream: Any, frames: Iterable[Any], timing: Timing) -> Iterator[Any]:
    """Packets of all frames, with their times and durations."""
    durations = dict(zip(timing.times, timing.durations(), strict=True))

    def timed(packets: Iterable[Any]) -> Iterator[Any]:
        for packet in packets:
            # The encoder may have chosen its own unit.
            at = packet.pts * packet.time_base / timing.unit
            packet.duration = round(durations[round(at)] * timing.unit / packet.time_base)
            yield packet

    for time, frame in zip(timing.times, frames, strict=True):
        if stream.width != frame.width or stream.height != frame.height:
            stream.width, stream.height = frame.width, frame.height
        frame.pts, frame.time_base = time, timing.unit
        yield from timed(stream.encode(frame))
    yield from timed(stream.encode())


def _frame(picture: np.ndarray, pixels: str) -> Any:
    """A picture, uint8 (H, W, 3), as a frame in FFmpeg's pixel format."""
    av = needed("av")
    if pixels != "yuv420p":
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture)).reformat(format=pixels)
    flags = av.video.reformatter.Interpolation
    frame = av.VideoFrame.from_ndarray(even(picture)).reformat(
        format=pixels,
        interpolation=flags.BICUBIC | flags.FULL_CHR_H_INP | flags.ACCURATE_RND,
        src_colorspace=BT709,
        dst_colorspace=BT709,
        src_color_range=FULL,
        dst_color_range=LIMITED,
    )
    frame.colorspace, frame.color_range = BT709, LIMITED
    return frame


def even(picture: np.ndarray) -> np.ndarray:
    """Repeat an odd last row or column of a picture, because 4:2:0 halves both."""
    rows, columns = picture.shape[:2]
    return np.pad(picture, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")


def _write_gif(path: Path, form: Format, frames: Frames, timing: Timing) -> None:
    """Write a GIF with one palette of 256 colors, chosen from all frames, and ordered dithering.

    Error diffusion would make still parts of the picture flicker.
    """
    palette = _palette(frames, timing)
    with _container(path, form) as container:
        stream = container.add_stream(form.codec, rate=_plausible(timing.rate))
        stream.codec_context.pix_fmt = form.pixels
        stream.codec_context.time_base = timing.unit
        for packet in _encoded(stream, _with_palette(frames, timing, palette), timing):
            container.mux(packet)


def _palette(frames: Frames, timing: Timing) -> Any:
    """The best 256 colors for all frames, found by FFmpeg's palettegen."""
    graph = needed("av").filter.Graph()
    source = None
    for time, picture in zip(timing.times, frames(), strict=True):
        frame = _timed(picture, time, timing)
        if source is None:
            source = _buffer(graph, frame, timing)
            chooser = graph.add("palettegen", "stats_mode=full:reserve_transparent=0")
            sink = graph.add("buffersink")
            source.link_to(chooser)
            chooser.link_to(sink)
            graph.configure()
        source.push(frame)
    assert source is not None  # a clip has frames
    source.push(None)
    return sink.pull()


def _with_palette(frames: Frames, timing: Timing, palette: Any) -> Iterator[Any]:
    """Frames in the palette's colors."""
    av = needed("av")
    graph = av.filter.Graph()
    source = None
    for time, picture in zip(timing.times, frames(), strict=True):
        frame = _timed(picture, time, timing)
        if source is None:
            source, colors = _buffer(graph, frame, timing), _buffer(graph, palette, timing)
            mapper = graph.add("paletteuse", "dither=bayer:bayer_scale=3")
            sink = graph.add("buffersink")
            source.link_to(mapper, 0, 0)
            colors.link_to(mapper, 0, 1)
            mapper.link_to(sink)
            graph.configure()
            palette.pts, palette.time_base = time, timing.unit
            colors.push(palette)
            colors.push(None)
        source.push(frame)
        with contextlib.suppress(av.error.BlockingIOError):
            yield sink.pull()
    assert source is not None
    source.push(None)
    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield sink.pull()


def _timed(picture: np.ndarray, time: int, timing: Timing) -> Any:
    frame = needed("av").VideoFrame.from_ndarray(np.ascontiguousarray(picture))
    frame = frame.reformat(format="bgra")
    frame.pts, frame.time_base = time, timing.unit
    return frame


def _buffer(graph: Any, frame: Any, timing: Timing) -> Any:
    return graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=timing.unit
    )
