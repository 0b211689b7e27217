"""Spans of time in words, and the geometry of the timeline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.converters import InstanceIdConverter
from orchestrations.interfaces.dashboard.presentation.docstrings import inline, prose
from orchestrations.interfaces.dashboard.presentation.durations import distance, duration, roughly
from orchestrations.interfaces.dashboard.presentation.payloads import PRETTY_BYTES, show_payload
from orchestrations.interfaces.dashboard.presentation.redaction import is_secret, redact_text
from orchestrations.interfaces.dashboard.presentation.spans import Lane, Span
from orchestrations.interfaces.dashboard.presentation.statuses import BADGES
from orchestrations.interfaces.dashboard.presentation.timeline import LABEL_WIDTH, WIDTH, lay_out
from orchestrations.interfaces.dashboard.presentation.verbs import VERBS
from orchestrations.interfaces.dashboard.presentation.waits import read_waits
from orchestrations.interfaces.dashboard.presentation.why import EXPLANATIONS
from orchestrations.interfaces.dashboard.views.acts import FORMS, PERFORM

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "seconds, measured, said",
    [
        (-1, "0 ms", "0 s"),
        (0.34, "340 ms", "0 s"),
        (2.34, "2.3 s", "2 s"),
        (61, "00:01:01", "1 m 1 s"),
        (3600, "01:00:00", "1 h"),
        (4320, "01:12:00", "1 h 12 m"),
        (86_400 * 2 + 7869, "2 d 02:11:09", "2 d 2 h"),
    ],
)
def test_spans_of_time_in_words(seconds, measured, said):
    span = timedelta(seconds=seconds)

    assert (duration(span), roughly(span)) == (measured, said)


def test_distances_look_both_ways():
    assert distance(at(90), NOON) == "in 1 m 30 s"
    assert distance(NOON, at(90)) == "1 m 30 s ago"


@pytest.mark.parametrize("text", ["", "{", "7", '[7, {"kind": []}]', '[{"kind": "Unheard of", "since": "yesterday"}]'])
def test_waits_that_make_no_sense_break_no_page(text):
    for wait in read_waits(text):
        assert wait.sentence(NOON)


@pytest.mark.parametrize("instance_id", [".", "..", "~", "~2E", "a/b", "#?\\", "plain", "é ~ %"])
def test_an_id_survives_its_way_through_a_url(instance_id):
    converter = InstanceIdConverter()
    segment = converter.to_url(instance_id)

    assert "/" not in segment
    assert segment not in (".", "..")
    assert converter.to_python(segment) == instance_id


def test_every_status_has_its_look_and_its_sentence():
    assert set(BADGES) == set(EXPLANATIONS) == set(RuntimeStatus)


def test_every_verb_has_its_form_and_its_call():
    assert {verb.action for verb in VERBS.values()} == set(FORMS) == set(PERFORM)


def test_a_large_payload_is_cut_and_a_broken_one_shown_as_it_is():
    large = show_payload('"' + "x" * PRETTY_BYTES + '"')

    assert not large.is_whole
    assert len(large.text) < PRETTY_BYTES
    assert show_payload("{oops").text == "{oops"
    assert show_payload(None) is None
    assert show_payload('{"b": 1, "a": "é"}').text == '{\n  "b": 1,\n  "a": "é"\n}'


def lanes(*spans: Span) -> list[Lane]:
    root = Lane("root", "running", [Span("running", "wait", NOON, None)])
    return [root, *(Lane("task", "completed", [span]) for span in spans)]


def test_bars_stay_within_the_picture_and_none_is_invisible():
    timeline = lay_out(lanes(Span("completed", "ran", at(1), at(1)), Span("completed", "ran", at(2), at(9))), at(10))

    bars = [bar for row in timeline.rows for bar in row.bars]
    assert all(float(bar.width) >= 2 for bar in bars)
    assert all(float(bar.x) >= LABEL_WIDTH and float(bar.x) + float(bar.width) <= WIDTH for bar in bars)


def test_an_idle_stretch_is_shrunk_and_labelled():
    timeline = lay_out(lanes(Span("completed", "ran", at(0), at(10)), Span("running", "ran", at(7210), None)), at(7220))

    (band,) = timeline.idle
    assert band.label.startswith("1 h 59 m")
    assert float(band.width) < 100
    first, second = timeline.rows[1].bars[0], timeline.rows[2].bars[0]
    assert float(first.width) > 200
    assert float(second.width) > 200


@pytest.mark.parametrize("busy", [1, 10, 100])
@pytest.mark.parametrize("idle", [900, 7_200])
def test_words_above_the_axis_stay_apart(busy, idle):
    spans, second = [], 0
    for _ in range(3):
        second += idle
        spans.append(Span("completed", "ran", at(second), at(second + busy)))
        second += busy

    timeline = lay_out(lanes(*spans), at(second))

    beginning, *lines = timeline.ticks
    extents = [(float(tick.x), tick.label) for tick in (beginning, *lines)]
    extents += [(float(band.text_x) - 7 * len(band.label) / 2, band.label) for band in timeline.idle]
    extents.sort()
    assert timeline.idle
    assert all(left + 7 * len(words) < right for (left, words), (right, _) in pairwise(extents)), extents


@pytest.mark.parametrize("seconds", [0.004, 0.13, 1.15, 7.9, 64.3, 3_603, 90_000, 40 * 86_400])
@pytest.mark.parametrize("idle", [0, 3_600, 5 * 86_400])
def test_no_two_lines_of_the_grid_say_the_same(seconds, idle):
    begin = seconds + idle
    busy = [Span("completed", "ran", at(0), at(seconds)), Span("completed", "ran", at(begin), at(begin + seconds))]

    labels = [tick.label for tick in lay_out(lanes(*busy), at(begin + seconds)).ticks]

    assert len(labels) == len(set(labels))
    assert len(labels) >= (2 if idle else 3)


def test_lines_of_the_grid_are_told_to_the_precision_of_their_step():
    def lines(seconds: float) -> list[str]:
        (_, *lines) = lay_out(lanes(Span("completed", "ran", at(0), at(seconds))), at(seconds)).ticks
        return [tick.label for tick in lines]

    assert lines(0.11)[:3] == ["+0.02 s", "+0.04 s", "+0.06 s"]
    assert lines(1.9)[:3] == ["+0.5 s", "+1 s", "+1.5 s"]
    assert lines(5 * 60)[:3] == ["+1 m", "+2 m", "+3 m"]
    assert lines(4 * 3600)[:3] == ["+1 h", "+2 h", "+3 h"]


def test_nothing_is_shrunk_where_nothing_ran():
    assert not lay_out(lanes(), at(7200)).idle


def test_a_picture_of_one_instant_is_drawn():
    assert lay_out(lanes(), NOON).rows


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": [{"apiKey": "x", "b": 1', '{"a": [{"apiKey": "•••", "b": 1'),
        ('{"password": "cut off he', '{"password": "•••"'),
        ('{"credentials": {"user": "x"}, "b": 1', '{"credentials": "•••"'),
        ('{"token": null, "tokens": 7, "TOKEN": 8', '{"token": null, "tokens": 7, "TOKEN": "•••"'),
        ('["password", "is: here"', '["password", "is: here"'),
    ],
)
def test_secrets_of_a_text_that_is_cut_are_hidden(text, shown):
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "key", ["password", "Password", "db_password", "apiKey", "X-API-Key", "APIKey", "access_token"]
)
def test_keys_of_secrets_are_known_in_any_style(key):
    assert is_secret(key)


@pytest.mark.parametrize("key", ["tokens", "passwordless", "monkey", "keys", ""])
def test_keys_that_only_sound_alike_are_no_secrets(key):
    assert not is_secret(key)


def test_a_docstring_is_paragraphs_with_names_in_the_type_of_code():
    def fulfil(order):
        """Fulfil an order: ``charge`` it, and `ship` it.

        Waits for the event ``paid``, or
        gives up after ``<three days>``.

        - one
        - two, by ``mail``
          or by hand

            fulfil(order)
        """

    assert prose(fulfil.__doc__) == (
        "<p>Fulfil an order: <code>charge</code> it, and <code>ship</code> it.</p>"
        "<p>Waits for the event <code>paid</code>, or gives up after <code>&lt;three days&gt;</code>.</p>"
        "<ul><li>one</li><li>two, by <code>mail</code> or by hand</li></ul>"
        "<pre>fulfil(order)</pre>"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("`", "`"),
        ("``a", "``a"),
        ("<b>`x`</b>", "&lt;b&gt;<code>x</code>&lt;/b&gt;"),
        ("a `` b `` c", "a `` b `` c"),
        ("{0} `{1}`", "{0} <code>{1}</code>"),
    ],
)
def test_what_is_no_code_stays_as_it_is_written(text, shown):
    assert inline(text) == shown
