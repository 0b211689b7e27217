"""Forms that are made from types, as pages draw them: labels, groups, rows, and problems that lead to their field."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from django.template.loader import render_to_string

from orchestrations.authoring.forms.binding import bind_form, describe_form
from tests.authoring.forms.declared import Approval, Order
from tests.authoring.forms.test_binding import ORDER, posted

CONTROLS = ("input", "select", "textarea")


class Drawn(HTMLParser):
    """The elements of a page, and which controls have a label."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.controls: dict[str, dict[str, str | None]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if told.get("id"):
            self.ids.append(str(told["id"]))
        if tag == "label" and told.get("for"):
            self.labelled.add(str(told["for"]))
        if tag in CONTROLS and told.get("type") != "hidden":
            self.controls[str(told.get("id"))] = told


def draw(form: Any) -> str:
    return render_to_string("dashboard/parts/errors.html", {"form": form}) + render_to_string(
        "dashboard/forms/fields.html", {"form": form}
    )


def test_every_control_has_a_label_and_an_id_of_its_own():
    html = draw(bind_form(describe_form(Order)))
    drawn = Drawn(html)

    boxes = {"id_is_urgent"}  # inside of their label
    assert set(drawn.controls) - drawn.labelled == boxes
    assert len(drawn.ids) == len(set(drawn.ids))
    assert "style=" not in html


def test_the_verdict_is_a_group_of_radio_buttons_with_a_legend():
    html = draw(bind_form(describe_form(Approval)))

    assert re.search(r"<legend>Decision</legend>.*?type=\"radio\"", html, re.DOTALL)
    assert "checked" not in html


def test_each_problem_leads_to_the_control_where_it_is_mended():
    values = {"rating": "9", "lines-0-count": "many", "address-town": "Bath", "sizes": ["m"], "verdict": ""}
    form = bind_form(describe_form(Order), posted({**ORDER, "address-street": "", **values}), {})
    html = draw(form)
    links = re.findall(r'href="#([^"]+)">([^<]+)<', html)

    assert {target for target, _ in links} <= set(Drawn(html).ids)
    assert [words for _, words in links][:1] == ["Verdict: This field is required."]
    assert "Lines 1, Count: Enter a whole number." in [words for _, words in links]
    assert "Address, Street: This field is required." in [words for _, words in links]


def test_a_problem_is_tied_to_its_control_for_who_can_not_see_it():
    controls = Drawn(draw(bind_form(describe_form(Order), posted({**ORDER, "rating": "9"}), {}))).controls

    assert controls["id_rating"]["aria-invalid"] == "true"
    assert controls["id_rating"]["aria-describedby"] == "id_rating_error"


def test_what_was_typed_is_escaped():
    form = bind_form(describe_form(Order), posted({"customer": "<script>", "lines-0-article": "<b>"}), {})

    html = draw(form)

    assert "<script>" not in html
    assert "<b>" not in html


def test_the_enter_key_sends_and_adds_no_row():
    first = re.search(r"<button[^>]*>", draw(bind_form(describe_form(Order))))

    assert first is not None
    assert "name=" not in first[0]
