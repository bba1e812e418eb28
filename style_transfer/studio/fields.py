"""The form's fields for `Settings`: one per choice, made from its description in settings.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from style_transfer.runs.opening import FILTER_SOURCES
from style_transfer.settings import INITS, Settings, bounds
from style_transfer.studio.texts import GROUPS, field_texts

# Chosen elsewhere on the page.
ELSEWHERE = (
    "height",
    "width",
    "size",
    "content_weight",
    "preserve_color",
    "content_mask",
    "style_mask",
    "style_blend",
    "large_pictures",  # uploads have their own limits
)
DEFAULT = Settings()


def settings_fields(language: str, filter_files: Sequence[str]) -> dict[str, Any]:
    """A component for each field of `Settings` without its own place on the page, by name.

    Args:
        language: the language of labels and explanations.
        filter_files: the files that `weights` may name.
    """
    groups: dict[str, list] = {}
    for item in dataclasses.fields(Settings):
        if item.name not in ELSEWHERE:
            groups.setdefault(item.metadata["group"], []).append(item)
    found = {}
    for name, items in groups.items():
        gr.Markdown(f"#### {GROUPS[language][name]}", elem_classes="group")
        for item in items:
            label, info = field_texts(language, item.name, item.metadata["help"])
            found[item.name] = _component(item, label, info, filter_files)
    return found


def _component(item: Any, label: str, info: str, filter_files: Sequence[str]) -> Any:
    common = {"label": label, "info": info, "value": item.default, "elem_id": f"set-{item.name}"}
    values = list(item.metadata["values"])
    if item.name == "init":
        values = list(INITS)
    elif item.name == "weights":
        values = [*FILTER_SOURCES, *filter_files]
    if values:
        return gr.Dropdown(values, filterable=False, **common)
    if item.type is bool:
        return gr.Checkbox(**common)
    if item.type in (int, float):
        smallest, largest = bounds(item.name)
        precision = 0 if item.type is int else None
        return gr.Number(minimum=smallest, maximum=largest, precision=precision, **common)
    return gr.Textbox(max_lines=1, **common)


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The form's values in the types of `Settings`; an empty number means the default."""
    types = {item.name: item.type for item in dataclasses.fields(Settings)}
    found = {}
    for name, value in values.items():
        if value is None:
            value = getattr(DEFAULT, name)
        found[name] = float(value) if types[name] is float else value
    return found
