"""The page: Gradio's form on the left; the page's own script shows the easel and the runs."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from style_transfer.errors import InputError
from style_transfer.presets import PRESETS, make_settings
from style_transfer.settings import Settings
from style_transfer.studio.brush import COLORS, canvas_of, keep_masks
from style_transfer.studio.fields import DEFAULT, settings_fields, typed
from style_transfer.studio.library import key_of, source_file
from style_transfer.studio.routes import Studio
from style_transfer.studio.texts import GRADIO, LANGUAGES, TAGS, Texts
from style_transfer.studio.uploads import keep

MOST_PAINTINGS = 4
STRONGEST = 1.5  # end of the slider: the content weight is divided by 10 to this power
SIZES = (64, 2400, 512)  # smallest, largest and default long side
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Page:
    """The page in one language.

    Args:
        studio: does the work of its buttons.
        language: a key of `LANGUAGES`.
    """

    def __init__(self, studio: Studio, language: str):
        self.studio, self.language = studio, language
        self.texts: Texts = LANGUAGES[language]
        self.fields: dict[str, Any] = {}
        with gr.Blocks(title=self.texts["title"], analytics_enabled=False, fill_width=True) as page:
            self.blocks = page
            gr.HTML(self._header(), elem_id="head")
            with gr.Row(elem_id="room"):
                with gr.Column(elem_id="form", scale=0, min_width=320):
                    self._form()
                with gr.Column(elem_id="stage", min_width=320):
                    self.easel = gr.HTML(
                        "<div id='studio'></div>",
                        js_on_load="window.takeSettings = (key) => trigger('select', {key});",
                        apply_default_css=False,
                    )
            self._connect()

    # The page's contents

    def _header(self) -> str:
        texts, other = self.texts, "zh" if self.language == "en" else "en"
        return (
            f"<h1>{html.escape(texts['title'])}</h1><p>{html.escape(texts['about'])}</p>"
            f'<a href="/{other}/" hreflang="{TAGS[other]}" lang="{TAGS[other]}">'
            f"{html.escape(texts['other_language'])}</a>"
        )

    def _form(self) -> None:
        texts = self.texts
        with gr.Row(elem_id="pictures"):
            self.photograph = self._picture(texts["photograph"], "photograph")
            self.paintings = [self._picture(texts["painting"], "painting-1")]
        self.samples = gr.HTML(
            self._samples(),
            elem_id="samples",
            js_on_load="element.addEventListener('click', (event) => {"
            "const button = event.target.closest('button');"
            "if (button) trigger('select', {name: button.dataset.name});});",
            visible=bool(self.studio.samples),
        )
        self.strength = self._slider("strength", (-STRONGEST, STRONGEST, 0), 0.05)
        self.size = self._slider("size", SIZES, 16)
        with gr.Row(elem_id="choices"):
            self.preset = gr.Dropdown(
                list(PRESETS),
                value="default",
                label=texts["preset"],
                filterable=False,
                min_width=140,
            )
            colors = [(texts[f"colors_{v}"], v) for v in ("none", "luminance", "match")]
            self.colors = gr.Dropdown(
                colors, value="none", label=texts["colors"], filterable=False, min_width=140
            )
        self._more()
        self.line = gr.HTML("", elem_id="line", html_template="<p role='alert'>${value}</p>")
        self.paint = gr.Button(texts["paint"], variant="primary", elem_id="paint")
        self.chosen = gr.Textbox(visible="hidden", elem_id="chosen")

    def _more(self) -> None:
        texts = self.texts
        self.shares = []
        with gr.Accordion(texts["more_paintings"], open=False):
            for number in range(1, MOST_PAINTINGS + 1):
                if number > 1:
                    label = texts["painting_n"].format(n=number)
                    self.paintings.append(self._picture(label, f"painting-{number}"))
                label = texts["share_n"].format(n=number)
                self.shares.append(gr.Slider(0.05, 1, 0.5, step=0.05, label=label, buttons=[]))
        self._networks()
        with gr.Accordion(texts["regions"], open=False):
            gr.Markdown(texts["regions_info"])
            self.editors = [
                self._editor(texts["regions_photograph"], "regions-photograph"),
                self._editor(texts["regions_painting"], "regions-painting"),
            ]
        with gr.Accordion(texts["all_settings"], open=False, elem_id="all-settings"):
            self.content_weight = gr.Number(
                DEFAULT.content_weight,
                label=texts["content_weight"],
                info=texts["content_weight_info"],
                minimum=0,
                elem_id="set-content_weight",
            )
            self.fields = settings_fields(self.language, self.studio.desk.filter_files())

    def _networks(self) -> None:
        texts, names = self.texts, self.studio.networks.names()
        with gr.Accordion(texts["networks"], open=False, visible=bool(names), elem_id="networks"):
            self.network = [
                gr.Dropdown(
                    names,
                    value=None,
                    label=texts["network"],
                    info=texts["network_info"],
                    filterable=False,
                    elem_id="network",
                ),
                self._slider("network_strength", (0, 2, 1), 0.05),
            ]
            self.at_once = gr.Image(
                label=texts["network_result"],
                alt_text=texts["network_result"],
                interactive=False,
                buttons=["download", "fullscreen"],
                elem_id="at-once",
            )

    def _slider(self, name: str, numbers: tuple[float, float, float], step: float) -> gr.Slider:
        """A slider with the texts of its name; `numbers` are its smallest, largest and first."""
        return gr.Slider(
            *numbers,
            step=step,
            label=self.texts[name],
            info=self.texts[f"{name}_info"],
            elem_id=name.replace("_", "-"),
            buttons=[],
        )

    def _picture(self, label: str, name: str) -> gr.Image:
        component = gr.Image(
            type="filepath",
            label=label,
            height=136,
            sources=["upload", "clipboard", "webcam"],
            buttons=[],
            elem_id=name,
            min_width=130,
            alt_text=label,
            placeholder=self.texts["drop"],
        )
        # Keep Gradio from decoding uploads; uploads.py does so, within limits.
        component.preprocess = lambda payload: payload.path if payload else None
        return component

    def _editor(self, label: str, name: str) -> gr.ImageEditor:
        component = gr.ImageEditor(
            type="pil",
            label=label,
            sources=[],
            transforms=[],
            layers=gr.LayerOptions(disabled=True),
            brush=gr.Brush(default_size=40, colors=list(COLORS), color_mode="fixed"),
            height=300,
            buttons=[],
            elem_id=name,
        )
        # Keep Gradio from decoding the background too, which it may still be writing.
        component.preprocess = lambda drawn: [x.path for x in drawn.layers if x] if drawn else []
        return component

    def _samples(self) -> str:
        texts = self.texts
        named = {name: html.escape(texts[f"sample_{name}"]) for name in self.studio.samples}
        use = html.escape(texts["sample_use"])
        buttons = "".join(
            f'<button type="button" data-name="{name}" title="{label}">'
            f'<img src="/studio/samples/{name}" alt="{use}: {label}"></button>'
            for name, label in named.items()
        )
        return f"<span>{html.escape(texts['samples'])}</span>{buttons}"

    # Events

    def _connect(self) -> None:
        pictures = [(self.photograph, self.texts["photograph"])]
        pictures += [(painting, self.texts["painting"]) for painting in self.paintings]
        for component, what in pictures:
            component.upload(
                self._keeper(what),
                component,
                [component, self.line],
                trigger_mode="always_last",
                **QUIET,
            )
        for component, editor in zip(
            [self.photograph, self.paintings[0]], self.editors, strict=True
        ):
            component.change(self._canvas, component, editor, trigger_mode="always_last", **QUIET)
        self.samples.select(
            self.use_sample,
            None,
            [self.photograph, self.paintings[0]],
            trigger_mode="multiple",
            **QUIET,
        )
        weight = [self.preset, self.strength]
        self.strength.input(weight_of, weight, self.content_weight, **QUIET)
        self.content_weight.input(
            strength_of, [self.preset, self.content_weight], self.strength, **QUIET
        )
        self.preset.input(self.use_preset, self.preset, self._settings_outputs(), **QUIET)
        changes = [part.input for part in self.network] + [
            self.photograph.change,
            self.size.release,
        ]
        gr.on(
            changes,
            self.paint_at_once,
            [self.photograph, self.size, *self.network],
            [self.at_once, self.line],
            trigger_mode="always_last",
            **QUIET,
        )
        begin = self.paint.click(
            self.begin, self._inputs(), [self.line, self.chosen], concurrency_limit=2, **QUIET
        )
        begin.then(None, self.chosen, None, js="(key) => { if (key) window.showRun(key); }")
        self.easel.select(self.take, None, [*self._pictures(), *self._settings_outputs()], **QUIET)

    def _pictures(self) -> list:
        return [self.photograph, *self.paintings]

    def _inputs(self) -> list:
        settings = [self.preset, self.size, self.colors, self.content_weight]
        return [*self._pictures(), *self.shares, *self.editors, *settings, *self.fields.values()]

    def _settings_outputs(self) -> list:
        return [
            self.preset,
            self.size,
            self.colors,
            self.content_weight,
            self.strength,
            *self.fields.values(),
        ]

    def _keeper(self, what: str) -> Callable:
        def check(path: str | None) -> tuple[Any, str]:
            try:
                return (str(self._keep(path, what)) if path else None), ""
            except (InputError, OSError) as error:
                return None, self._refusal(error)

        return check

    def _keep(self, path: str, what: str) -> Path:
        return keep(path, self.studio.places, what)

    def _refusal(self, error: InputError | OSError) -> str:
        line = f"folder: {error.strerror}" if isinstance(error, OSError) else str(error)
        return f"{html.escape(self.texts['refused'])} {html.escape(line)}"

    def _canvas(self, path: str | None) -> Any:
        try:
            image = canvas_of(self._keep(path, "picture")) if path else None
        except (InputError, OSError):
            image = None
        return {"background": image, "layers": [], "composite": None} if image else None

    def use_sample(self, event: gr.EventData) -> tuple[Any, Any]:
        """Put a sample into its field."""
        path = self.studio.samples.get(str(event.name))
        if path is None:
            return gr.skip(), gr.skip()
        if event.name == "photo":
            return str(path), gr.skip()
        return gr.skip(), str(path)

    def use_preset(self, preset: str) -> list:
        """Show a preset's settings."""
        return self._shown(make_settings(preset), preset, size=None)

    def _shown(self, settings: Settings, preset: str, size: int | None) -> list:
        weight = settings.content_weight
        return [
            preset,
            gr.skip() if size is None else size,
            settings.preserve_color,
            weight,
            strength_of(preset, weight),
            *(getattr(settings, name) for name in self.fields),
        ]

    def begin(self, *values: Any) -> tuple[str, str]:
        """Order a run, for the button; returns an error line (or empty) and the run's key."""
        given = iter(values)
        photograph = next(given)
        paintings = [next(given) for _ in self.paintings]
        shares = [next(given) for _ in self.shares]
        editors = [next(given) for _ in self.editors]
        preset, size, colors, weight = (next(given) for _ in range(4))
        chosen = dict(zip(self.fields, given, strict=True))
        if not photograph:
            return self.texts["need_photograph"], ""
        if not any(paintings):
            return self.texts["need_painting"], ""
        try:
            base = self._keep(photograph, self.texts["photograph"])
            styles = [self._keep(path, self.texts["painting"]) for path in paintings if path]
            chosen |= {"preserve_color": colors, "content_weight": weight}
            chosen = typed(chosen)
            if not chosen.get("print"):  # which sets the size, too
                chosen["size"] = str(int(size))
            if len(styles) > 1:
                blend = [share for share, path in zip(shares, paintings, strict=True) if path]
                chosen["style_blend"] = ",".join(f"{share:g}" for share in blend)
            strokes = [editors[1] if path == paintings[0] else None for path in paintings if path]
            chosen |= keep_masks(editors[0], strokes, self.studio.places)
            run = self.studio.desk.begin(base, styles, preset, chosen)
        except (InputError, OSError) as error:
            return self._refusal(error), ""
        return "", key_of(run)

    def paint_at_once(
        self, photograph: str | None, size: int, name: str | None, strength: float
    ) -> tuple[Any, Any]:
        """The picture of a style network, and an error line (or an empty one)."""
        if not photograph or not name:
            return None, gr.skip()  # leave the error line, which may be about something else
        try:
            kept = self._keep(photograph, self.texts["photograph"])
            return str(self.studio.networks.paint(name, kept, int(size), strength)), ""
        except (InputError, OSError) as error:
            return None, self._refusal(error)

    def take(self, event: gr.EventData) -> list:
        """Put a run's settings into the form, and its pictures, if they are in the folder."""
        found = self.studio.library.find(str(event.key))
        record = found.record if found else None
        if found is None or record is None:
            return [gr.skip()] * (len(self._pictures()) + len(self._settings_outputs()))
        sources = [record.content, *record.styles][: len(self._pictures())]
        files = [source_file(self.studio.places, found, entry) for entry in sources]
        pictures = [str(file) if file else gr.skip() for file in files]
        pictures += [None] * (len(self._pictures()) - len(pictures))
        side = max(max(size.shape) for size in record.sizes) if record.sizes else None
        return [*pictures, *self._shown(record.settings, record.preset, side)]


def weight_of(preset: str, strength: float) -> float:
    """The content weight for a slider position: the preset's, divided by 10 to this power."""
    return float(f"{make_settings(preset).content_weight / 10**strength:.3g}")


def strength_of(preset: str, weight: float | None) -> float:
    """The inverse of `weight_of`, clipped to the slider."""
    base = make_settings(preset).content_weight
    if not weight or not base:
        return STRONGEST
    return max(-STRONGEST, min(STRONGEST, round(math.log10(base / weight), 2)))


def head(language: str) -> str:
    """The contents of the page's head: the texts, the script, the style."""
    told = {"lang": TAGS[language], "gradio": GRADIO[language], **LANGUAGES[language]}
    texts = json.dumps(told).replace("<", "\\u003c")
    return (
        f"<script>window.studioTexts = {texts};"
        "document.documentElement.lang = window.studioTexts.lang;</script>"
        '<link rel="icon" href="/favicon.ico" type="image/svg+xml">'
        '<script type="module" src="/studio/static/studio.js"></script>'
    )
