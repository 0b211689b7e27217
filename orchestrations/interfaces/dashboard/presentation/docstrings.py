"""What code says of itself, as a page shows it: paragraphs and lists, with names in the type of code."""

from __future__ import annotations

import re
from inspect import cleandoc

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

CODE = re.compile(r"(``?)(?!\s)([^`\n]+?)(?<!\s)\1")
ITEM = re.compile(r"^[-*] ")


def inline(text: str) -> SafeString:
    """A line of text; what stands between backticks, one or two, is code."""
    parts = CODE.split(
        text
    )  # a text, and then three at a time: the backticks, what they enclose, the text that follows
    spans = format_html_join("", "<code>{}</code>{}", zip(parts[2::3], parts[3::3], strict=True))
    return format_html("{}{}", parts[0], spans)


def prose(docstring: str) -> SafeString:
    """The whole: a block after an empty line is a paragraph, a list where each line is an item, or an example."""
    blocks = re.split(r"\n\s*\n", cleandoc(docstring).strip())
    return format_html_join("", "{}", ((_block(block),) for block in blocks if block.strip()))


def _block(block: str) -> SafeString:
    if block.startswith((" ", "\t")):
        return format_html("<pre>{}</pre>", cleandoc("\n" + block))
    if ITEM.match(block):
        items = re.split(r"\n(?=[-*] )", block)
        return format_html(
            "<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((inline(_joined(item[2:])),) for item in items))
        )
    return format_html("<p>{}</p>", inline(_joined(block)))


def _joined(lines: str) -> str:
    return " ".join(lines.split())
