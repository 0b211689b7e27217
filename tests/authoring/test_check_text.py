"""The JSON door for foreign text."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable

import msgspec
import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrations.authoring import faults, json_scans, payloads
from orchestrations.errors import PayloadRejected
from orchestrations.limits import NUMBER_DIGITS, PAYLOAD_BYTES, PAYLOAD_DEPTH
from orchestrations.models import Instance
from tests.authoring.strategies import VALUES

SUBJECT = "the request body"
MARKS = [*'[]{}:,"\\', " ", "\n", '"a"', '"a":', "1", "-", "0", ".5", "e400", "E+9", "null", "true", "NaN", "é", "\0"]
UGLY = ["\\u0000", "\\ud800", "\\ud83d\\ude00", "\\udc00", "\ud800", "9" * 300, "9" * 4301, "1e309", "[" * 70, "]" * 70]
FRAGMENTS = st.sampled_from(MARKS + UGLY)


def rejection(text: str | bytes) -> PayloadRejected:
    with pytest.raises(PayloadRejected) as caught:
        payloads.check_text(text, SUBJECT)
    assert caught.value.subject == SUBJECT
    assert str(caught.value).startswith(SUBJECT)
    return caught.value


def depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(st.lists(FRAGMENTS, max_size=12).map("".join) | VALUES.map(json.dumps))
@example('"' + "\\" * 7 + 'u0000"')
@example('{"a":1,"a":"\\u0000"}')
@settings(max_examples=500, deadline=None)
def test_what_is_accepted_is_exactly_what_can_be_read_and_stored(text):
    try:
        value = msgspec.json.decode(text)
        raw = json.dumps(value, ensure_ascii=False)
        readable = "\\u0000" not in json.dumps(value).replace("\\\\", "") and depth(value) <= PAYLOAD_DEPTH
    except (msgspec.DecodeError, UnicodeEncodeError):
        readable = False
    try:
        checked = payloads.check_text(text, SUBJECT)
    except PayloadRejected as error:
        assert error.path.startswith("$")
        # Of two equal keys only the last is read, but nothing that can't be stored passes in the first either.
        assert not readable or '"a":' in text
        return
    assert readable
    assert json.dumps(payloads.decode(checked, None, SUBJECT), ensure_ascii=False) == raw


@given(st.binary(max_size=30))
def test_any_bytes_are_checked_without_another_error(body):
    try:
        payloads.check_text(body, SUBJECT)
    except PayloadRejected as error:
        assert error.path.startswith("$")


@pytest.mark.django_db
@given(VALUES.map(json.dumps))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_accepted_comes_back_from_the_database_byte_for_byte(text):
    try:
        checked = payloads.check_text(text, SUBJECT)
    except PayloadRejected:
        return
    Instance.objects.filter(instance_id="stored").delete()
    Instance.objects.create(hub="h", instance_id="stored", name="f", input=checked)
    assert Instance.objects.get(instance_id="stored").input == checked
    assert connection.is_usable()


@pytest.mark.parametrize(
    ("text", "checked"),
    [
        (' { "b" : 1 ,\n"a":[ ] } ', '{"b":1,"a":[]}'),
        ("null", None),
        (" null\n", None),
        ('"null"', '"null"'),
        ('{"a":1,"a":2}', '{"a":1,"a":2}'),
        ("123456789012345678901234567890.1234567890", "123456789012345678901234567890.1234567890"),
        ("9223372036854775808", "9223372036854775808"),
        ("1.0e2", "1.0e2"),
        ("9" * 4300, "9" * 4300),
        ('"\\ud83d\\ude00 \\u00e9 é שלום"', '"\\ud83d\\ude00 \\u00e9 é שלום"'),
        ('"1e999 \\\\u0000 [[[["', '"1e999 \\\\u0000 [[[["'),
        (b'{"a": "\xc3\xa9"}', '{"a":"é"}'),
        ("[" * PAYLOAD_DEPTH + "]" * PAYLOAD_DEPTH, "[" * PAYLOAD_DEPTH + "]" * PAYLOAD_DEPTH),
    ],
)
def test_accepted_text_loses_nothing_but_white_space(text, checked):
    assert payloads.check_text(text, SUBJECT) == checked


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("", "$", "is empty"),
        ("  \n", "$", "is empty"),
        ('{"items":[0,{"na me":"a\\u0000"}]}', '$.items[1]["na me"]', "U+0000"),
        ('{"a":{"b\\u0000":1}}', '$.a["b\\\\u0000"]', "U+0000"),
        ('{"a":"x","b":["\\ud800"]}', "$.b[0]", "surrogate"),
        ('{"a":"x","b":["\\udc00 and more"]}', "$.b[0]", "surrogate"),
        ('{"a":"\ud800"}', "$.a", "surrogate"),
        (b'{"a":[1,"\xff"]}', "$.a[1]", "not UTF-8"),
        ('{"a":{"b":[0,1e400]},"1e400":1}', "$.a.b[1]", "out of range"),
        ('{"a":-1' + "0" * 400 + ".5}", "$.a", "out of range"),
        ('["' + "1" * 300 + '",' + "9" * 4301 + "]", "$[1]", "out of range"),
        ('{"a":[1,NaN]}', "$.a[1]", "not valid JSON"),
        ('{"a":[1,Infinity]}', "$.a[1]", "not valid JSON"),
        ('{"a":1} x', "$", "trailing characters, byte 9"),
        ("{'a':1}", "$", "not valid JSON"),
        ('{"a":"\0"}', "$.a", "not valid JSON"),
        ("[" * (PAYLOAD_DEPTH + 1) + "]" * (PAYLOAD_DEPTH + 1), "$" + "[0]" * PAYLOAD_DEPTH, "nested deeper"),
        ('[1,{"a":' + "[" * 100_000, "$[1].a" + "[0]" * (PAYLOAD_DEPTH - 2), "nested deeper"),
    ],
    ids=range(18),
)
def test_refused_text_is_refused_with_its_path(text, path, problem):
    error = rejection(text)
    assert error.path == path
    assert problem in str(error)


DIGITS = st.sampled_from([1, 2, 8, 9, 10, 11, 17, 18, 19, 199, 200, 308, 309, 310, 4_300, 4_301])
NUMBERS = st.builds(
    lambda minus, digit, count, fraction, mark, exponent: f"{minus}{digit * count}{fraction}{mark}{exponent}",
    st.sampled_from(["", "-"]),
    st.sampled_from("179"),
    DIGITS,
    st.sampled_from(["", ".5", f".{'9' * 200}", ".7976931348623157", ".7976931348623159"]),
    st.sampled_from(["e", "E", "e+", "e-", "E+"]),
    st.sampled_from([0, 1, 99, 100, 108, 109, 298, 299, 300, 307, 308, 309, 1_000, "0308", "0099"]),
) | st.builds(lambda digit, count: digit * count, st.sampled_from("19"), DIGITS)
AROUND = st.sampled_from(
    ["[{}]", '{{"a":{}}}', '[1,{},"1e400"]', '["\\\\",{}]', '["a\\"",{},[]]', "{}", "[true,[{}],{{}}]"]
)


def is_in_range(number: str) -> bool:
    digits = number.lstrip("-")
    return len(digits) <= NUMBER_DIGITS and (digits.isdigit() or math.isfinite(float(digits)))


@given(NUMBERS, AROUND)
@settings(max_examples=1_000, deadline=None)
def test_a_number_is_refused_exactly_where_it_is_out_of_range(number, around):
    text = around.format(number)
    if is_in_range(number):
        assert payloads.check_text(text, SUBJECT) == text
    else:
        assert "out of range" in str(rejection(text))


@given(st.lists(st.integers(0, 70), max_size=30), st.sampled_from(["[", "{"]))
@example([64], "[")
@example([63, 65, 1], "{")
@example([1] * 500 + [65], "[")
@settings(deadline=None)
def test_nesting_is_refused_exactly_where_it_is_too_deep(depths, kind):
    tower = {"[": ("[", "]"), "{": ('{"[":', "}")}[kind]
    parts = [tower[0] * depth + '"]"' + tower[1] * depth for depth in depths]
    text = f"[{','.join(parts)}]"
    if max(depths, default=0) + 1 > PAYLOAD_DEPTH:
        assert "nested deeper" in str(rejection(text))
    else:
        assert payloads.check_text(text, SUBJECT) == text


@pytest.mark.parametrize("lead", range(json_scans.PART_BYTES - 6, json_scans.PART_BYTES + 6))
@pytest.mark.parametrize("string", ['"1e400"', '"\\\\"', '"\\""', '""'])
def test_strings_are_told_from_numbers_where_the_text_is_cut(lead, string):
    strings = f'["{"x" * (lead - 3)}",{string},"{"y" * json_scans.PART_BYTES}",'

    assert payloads.check_text(f"{strings}1e308]", SUBJECT)
    assert "out of range" in str(rejection(f"{strings}1e309]"))


def test_a_payload_beyond_the_limit_is_refused():
    assert "10,485,761 bytes" in str(rejection('"' + "x" * (PAYLOAD_BYTES - 1) + '"'))


def test_a_key_of_any_length_leaves_a_short_path():
    assert len(rejection('{"' + "k" * 100_000 + '":"\\u0000"}').path) < 100


def test_a_fault_far_inside_a_large_text_is_reported_at_the_root():
    assert rejection("[" + '"x",' * (faults.PATH_BYTES // 4) + '"\\u0000"]').path == "$"


HOSTILE = {
    "open arrays": "[" * PAYLOAD_BYTES,
    "balanced arrays": "[" * (PAYLOAD_BYTES // 2) + "]" * (PAYLOAD_BYTES // 2),
    "arrays as deep as parsers allow": "[" + ",".join(["[" * 500 + "]" * 500] * 10_000) + "]",
    "digits": "1" * 100_000,
    "an open string of escapes": '"' + '\\"' * (PAYLOAD_BYTES // 2 - 10),
    "backslashes before a NUL": '"' + "\\\\" * (PAYLOAD_BYTES // 2 - 10) + '\\u0000"',
    "a hundred megabytes": "1" * 100_000_000,
    "floats, and one out of range": "[" + "1e100," * 1_600_000 + "1e400]",
    "different floats, and one out of range": f"[{','.join(f'{n}e299' for n in range(900_000))},1e400]",
    "floats at the end of the range": "[" + "1.7976931348623157e+308," * 430_000 + "1e400]",
    "long integers, and one out of range": "[" + f"{'9' * 310}," * 33_000 + "1e400]",
    "strings like numbers, and one number": "[" + '"1e400",' * 1_300_000 + "1e400]",
    "empty strings, and a number": "[" + '"",' * 3_300_000 + "1e400]",
    "empty arrays, and one too deep": "[" + "[]," * 3_300_000 + "[" * 70 + "]" * 70 + "]",
    "arrays nearly too deep": "[" + f"{'[' * 60 + ']' * 60}," * 86_000 + "1e400]",
    "pairs of surrogates, and half of one": '["' + "\\ud83d\\ude00" * 850_000 + '\\ud83d"]',
}


ORDINARY = json.dumps(list(range(1_200_000)))  # of about as many bytes


def effort(work: Callable[[str], object], text: str) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    work(text)
    return time.process_time() - started


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused_with_little_more_effort_than_ordinary_text_is_read(text):
    assert effort(rejection, text) < 10 * effort(json.loads, ORDINARY)
