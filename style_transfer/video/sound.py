"""The sound of a clip, copied packet by packet: nothing is decoded or encoded."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from style_transfer.video.film import open_film


class Sound:
    """The sound of a clip, or a part of it.

    Args:
        path: path of the clip.
        origin: the time on the clip's own clock, in seconds, that becomes 0.
        start: packets that start before this time are left out; None: none are.
        end: packets that start at this time or later are left out; None: none are.
    """

    def __init__(
        self,
        path: Path,
        origin: Fraction = Fraction(0),
        start: Fraction | None = None,
        end: Fraction | None = None,
    ):
        self.path, self.origin, self.start, self.end = path, origin, start, end

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec; empty for a silent clip."""
        with open_film(self.path) as container:
            stream = _audio(container)
            return stream.codec_context.name if stream else ""

    def copied_into(self, container: Any) -> "Copy":
        """A new stream in a container that is being written."""
        return Copy(self, container)


class Copy:
    """The stream of a `Sound` in a container that is being written."""

    def __init__(self, sound: Sound, container: Any):
        self._sound = sound
        self._source = open_film(sound.path)
        self._from: Any = _audio(self._source)
        self._to = container.add_stream_from_template(self._from)

    def beside(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Packets of pictures, with those of the sound among them, in the order of their times."""
        sounds = self._packets()
        waiting = next(sounds, None)
        try:
            for packet in packets:
                at = packet.dts * packet.time_base
                while waiting is not None and waiting.dts * waiting.time_base <= at:
                    yield waiting
                    waiting = next(sounds, None)
                yield packet
            while waiting is not None:
                yield waiting
                waiting = next(sounds, None)
        finally:
            self._source.close()

    def _packets(self) -> Iterator[Any]:
        sound, unit = self._sound, self._from.time_base
        shift = round(sound.origin / unit)
        last = None
        for packet in self._source.demux(self._from):
            if packet.dts is None or packet.size == 0:
                continue
            time = packet.pts if packet.pts is not None else packet.dts
            if sound.start is not None and time * unit < sound.start:
                continue
            if sound.end is not None and time * unit >= sound.end:
                break
            packet.pts, packet.dts = time - shift, packet.dts - shift
            if last is not None and packet.dts <= last:
                continue  # a damaged file
            last = packet.dts
            packet.stream = self._to
            yield packet


def _audio(container: Any) -> Any | None:
    return next((stream for stream in container.streams.audio if stream.codec_context), None)
