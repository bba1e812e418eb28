"""The page's texts, by language. Keys are the same in all."""

from style_transfer.studio.chinese import FIELDS as FIELDS_ZH
from style_transfer.studio.chinese import GRADIO as GRADIO_ZH
from style_transfer.studio.chinese import GROUPS as GROUPS_ZH
from style_transfer.studio.chinese import TEXTS as TEXTS_ZH
from style_transfer.studio.english import FIELDS as FIELDS_EN
from style_transfer.studio.english import GROUPS as GROUPS_EN
from style_transfer.studio.english import TEXTS as TEXTS_EN

Texts = dict[str, str]
LANGUAGES: dict[str, Texts] = {"en": TEXTS_EN, "zh": TEXTS_ZH}
TAGS = {"en": "en", "zh": "zh-CN"}  # for the page's lang attribute
FIELDS = {"en": FIELDS_EN, "zh": FIELDS_ZH}
GRADIO: dict[str, Texts] = {"en": {}, "zh": GRADIO_ZH}
GROUPS: dict[str, Texts] = {"en": GROUPS_EN, "zh": GROUPS_ZH}


def field_texts(language: str, name: str, help_text: str) -> tuple[str, str]:
    """Label and explanation of a field of `Settings`.

    Args:
        language: a key of `LANGUAGES`.
        name: the field's name.
        help_text: its help in English, from settings.py.
    """
    label = name[:1].upper() + name[1:].replace("_", " ")
    return FIELDS[language].get(name, (label, help_text))
