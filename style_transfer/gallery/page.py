"""OUT/index.html: photographs by paintings, in one plain file without scripts."""

from __future__ import annotations

import dataclasses
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from style_transfer.console import duration
from style_transfer.gallery.worker import source_thumbnail_name, thumbnail_name
from style_transfer.settings import Settings

if TYPE_CHECKING:
    from style_transfer.gallery.album import Album, Entry

# The contrast between text and background is at least 7:1, in light and dark (WCAG 2.2, 1.4.6).
STYLE = """\
:root { color-scheme: light dark; --ground: #fff; --text: #1b1b1b; --soft: #4a4a4a;
  --line: #d5d5d5; --card: #f4f4f2; --wrong: #8f1010; --link: #0a4a8f }
@media (prefers-color-scheme: dark) { :root { --ground: #161616; --text: #f0f0f0;
  --soft: #c0c0c0; --line: #3a3a3a; --card: #222; --wrong: #ffb0a8; --link: #a8cfff } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem; font: 1rem/1.5 system-ui, sans-serif;
  background: var(--ground); color: var(--text) }
h1 { margin: 0; font-size: 1.6rem }
a { color: var(--link) }
header p { margin: .25rem 0; color: var(--soft) }
details { margin: .75rem 0 }
summary { cursor: pointer }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0 }
dt { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
table { border-collapse: separate; border-spacing: .6rem; margin: 0 -.6rem }
th, td { width: 15rem; min-width: 10rem; vertical-align: top; font-weight: normal;
  text-align: left }
th[scope] img { opacity: .95; border: 1px solid var(--line) }
thead th { position: sticky; top: 0; z-index: 1; background: var(--ground); padding: .3rem 0 }
thead img { max-height: 6rem; width: auto; max-width: 100% }
tbody th { width: 11rem; min-width: 8rem }
img { display: block; max-width: 100%; width: 100%; height: auto; border-radius: 4px;
  background: var(--card) }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 3px }
p { margin: .25rem 0; overflow-wrap: anywhere }
small { display: block; color: var(--soft); font-size: .875rem }
.manner { display: none }
.none { padding: 1rem; border: 1px dashed var(--line); border-radius: 4px; color: var(--soft) }
.wrong { color: var(--wrong) }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.5rem }
figure { margin: 0 }
.inputs { display: flex; gap: .5rem; margin-top: .5rem }
.inputs div { flex: 1; min-width: 0 }
.inputs img { height: 5rem; width: 100%; object-fit: cover }
@media (max-width: 40rem) {
  body { padding: 1rem }
  table, tbody { display: block; margin: 0 }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%) }
  tr { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; padding: 1rem 0;
    border-top: 1px solid var(--line) }
  th, td, tbody th { display: block; width: auto; min-width: 0 }
  tbody th { grid-column: 1 / -1; display: grid; grid-template-columns: 6rem 1fr; gap: .75rem;
    align-items: center }
  .manner { display: block }
}
"""


def page(album: Album, mark: str) -> str:
    """The page's text.

    Args:
        album: the gallery.
        mark: an element of the head that marks the page as this program's.
    """
    entries = list(album.entries.values())
    body = _pairs(album) if album.pair else _grid(album)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{mark}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(_title(album))}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(_title(album))}</h1>
<p>{escape(_summary(entries))}</p>
{_settings(album)}
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _title(album: Album) -> str:
    return f"Gallery: {album.out.name}"


def _summary(entries: list[Entry]) -> str:
    done = [entry for entry in entries if entry.status == "done"]
    failed = sum(entry.status == "failed" for entry in entries)
    missing = len(entries) - len(done) - failed
    parts = [f"{len(done)} of {len(entries)} pictures"]
    if missing:
        parts.append(f"{missing} still to be painted")
    if failed:
        parts.append(f"{failed} could not be painted")
    if done:
        parts.append(f"{duration(sum(entry.seconds for entry in done))} of painting in all")
    return "; ".join(parts) + "."


def _settings(album: Album) -> str:
    """The settings: those that differ from the defaults in sight, all of them on request."""
    settings, default = album.task.settings, Settings()
    values = dataclasses.asdict(settings)
    chosen = {k: v for k, v in values.items() if v != getattr(default, k)} | {
        "height": settings.height
    }
    preset = f"Preset {album.task.preset}; " if album.task.preset != "default" else ""
    line = ", ".join(f"{name} {value}" for name, value in sorted(chosen.items()))
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value)) or '–'}</dd>"
        for name, value in values.items()
    )
    return (
        f"<p>{escape(preset + line)}</p>\n"
        f"<details><summary>All settings</summary>\n<dl>{rows}</dl>\n</details>"
    )


def _grid(album: Album) -> str:
    """A row for each photograph, a column for each painting."""
    entries = list(album.entries.values())
    paintings = list(dict.fromkeys(entry.cell.painting for entry in entries))
    photos = list(dict.fromkeys(entry.cell.photo for entry in entries))
    place = {(entry.cell.photo, entry.cell.painting): entry for entry in entries}
    head = "".join(
        f'<th scope="col">{_small(album, s.sha256, f"Painting {s.name}")}<p>{escape(s.name)}</p>'
        "</th>"
        for s in paintings
    )
    lines = [f"<table>\n<thead><tr><td></td>{head}</tr></thead>\n<tbody>"]
    for photo in photos:
        lines.append(
            f'<tr><th scope="row">{_small(album, photo.sha256, f"Photograph {photo.name}")}'
            f"<p>{escape(photo.name)}</p></th>"
        )
        for painting in paintings:
            entry = place.get((photo, painting))
            lines.append(f"<td>{_cell(album, entry) if entry else ''}</td>")
        lines.append("</tr>")
    return "\n".join([*lines, "</tbody>\n</table>"])


def _pairs(album: Album) -> str:
    """A figure for each pair."""
    figures = []
    for entry in album.entries.values():
        cell = entry.cell
        inputs = "".join(
            f"<div>{_small(album, s.sha256, f'{kind} {s.name}')}<small>{escape(s.name)}</small>"
            "</div>"
            for kind, s in (("Photograph", cell.photo), ("Painting", cell.painting))
        )
        figures.append(f'<figure>{_cell(album, entry)}<div class="inputs">{inputs}</div></figure>')
    return '<div class="pairs">\n' + "\n".join(figures) + "\n</div>"


def _cell(album: Album, entry: Entry) -> str:
    """A result: its thumbnail, linked to the picture; or why there is none."""
    cell = entry.cell
    manner = f'<p class="manner">{escape(cell.painting.name)}</p>' if not album.pair else ""
    if entry.status == "missing":
        return f'<p class="none">still to be painted</p>{manner}'
    if entry.status == "failed":
        error = entry.error
        for source in (cell.photo, cell.painting):  # do not show names of folders
            error = error.replace(source.path, Path(source.path).name)
        return f'<p class="none wrong">{escape(error)}</p>{manner}'
    alt = f"{cell.photo.name} in the manner of {cell.painting.name}"
    picture = quote(album.task.files(cell).picture().name)
    size = f"{entry.columns} × {entry.rows}"
    return (
        f'<a href="{picture}">{_image(thumbnail_name(cell), alt, entry)}</a>'
        f"{manner}<small>{size}, {duration(entry.seconds)}</small>"
    )


def _image(name: str, alt: str, entry: Entry) -> str:
    return (
        f'<img src="{quote(name)}" alt="{escape(alt)}" loading="lazy" '
        f'width="{entry.columns}" height="{entry.rows}">'
    )


def _small(album: Album, sha256: str, alt: str) -> str:
    """The thumbnail of a photograph or painting, once there is one."""
    name = source_thumbnail_name(sha256)
    if not sha256 or not (album.out / name).exists():
        return ""
    return f'<img src="{quote(name)}" alt="{escape(alt)}" loading="lazy">'
