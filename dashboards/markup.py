"""HTML from values: whatever is not already `Html` is escaped, so no caller can forget to."""

import html
import re

# What must not reach a reader's eye raw: C0 and C1 controls, lone surrogates, and the marks that turn the
# direction of text around (a sensor's name could pass itself off as another).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_VOID = frozenset({"meta", "br", "hr"})

Value = str | int | float | bool | None


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Escaped for element content and for quoted attributes; controls become U+FFFD."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(_UNSAFE.sub("\ufffd", str(value)), quote=True))


def join(*children: object) -> Html:
    """Children one after another; None is nothing."""
    return Html("".join(text(child) for child in children if child is not None))


def tag(name: str, /, *children: object, **attributes: Value) -> Html:
    """One element. `cls` is class, `_` in a name is `-`; None and False leave an attribute out, True bares it."""
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = "class" if key == "cls" else key.strip("_").replace("_", "-")
        parts.append(label if value is True else f'{label}="{_plain(value)}"')
    if name in _VOID:
        return Html(f"<{' '.join(parts)}>")
    return Html(f"<{' '.join(parts)}>{join(*children)}</{name}>")


def _plain(value: Value) -> Html:
    return Html(number(value)) if isinstance(value, float) else text(value)


def number(value: float) -> str:
    """At most four decimals, none that are not needed."""
    short = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short
