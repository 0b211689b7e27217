"""Failure details: the whole chain of causes, whatever the exception is like, in a size that can be stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from orchestrations.core.errors import TaskFailedError
from orchestrations.core.failures import FailureDetails
from orchestrations.core.stack_traces import frames, place_of
from orchestrations.limits import (
    FAILURE_CHAIN,
    FAILURE_MESSAGE_CHARACTERS,
    FAILURE_PROPERTIES_BYTES,
    FAILURES,
    STACK_TRACE_CHARACTERS,
)


class CardDeclined(ValueError):
    """An author's error."""


class Fatal(Exception):
    """An error that no retry mends."""

    is_non_retriable = True


class NoText(Exception):
    """An error whose parts fail."""

    def __str__(self):
        raise KeyError("x")

    @property
    def is_non_retriable(self):
        raise KeyError("x")


def caught(error, cause=None):
    try:
        raise error from cause
    except BaseException as raised:
        return raised


def test_the_chain_of_causes_survives_storage():
    details = FailureDetails.from_exception(caught(RuntimeError("outer"), caught(CardDeclined("inner"))))

    assert FailureDetails.from_json(details.to_json()) == details
    assert details.inner_failure.message == "inner"
    assert "raise error from cause" in details.stack_trace


def test_an_error_raised_while_handling_another_has_it_as_its_cause():
    try:
        try:
            raise CardDeclined("first")
        except CardDeclined:
            raise RuntimeError("second")  # noqa: B904
    except RuntimeError as error:
        assert FailureDetails.from_exception(error).inner_failure.message == "first"


def test_raise_from_none_hides_the_cause():
    try:
        try:
            raise CardDeclined("first")
        except CardDeclined:
            raise RuntimeError("second") from None
    except RuntimeError as error:
        assert FailureDetails.from_exception(error).inner_failure is None


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (CardDeclined, True),
        (ValueError, True),
        (Exception, True),
        (BaseException, True),
        (KeyError, False),
        ("CardDeclined", True),
        ("ValueError", True),
        ("builtins.ValueError", True),
        ("builtins.CardDeclined", False),
        ("tests.core.test_failures.CardDeclined", True),
        ("Declined", False),
        ("test_failures.CardDeclined", False),
    ],
)
def test_is_caused_by_knows_subclasses_and_names_anywhere_in_the_chain(asked, answer):
    child = TaskFailedError("child failed", FailureDetails.from_exception(CardDeclined("no")))
    parent = TaskFailedError("parent failed", FailureDetails.from_json(FailureDetails.from_exception(child).to_json()))

    assert parent.is_caused_by(asked) is answer
    assert FailureDetails.from_exception(caught(RuntimeError(), parent)).is_caused_by(asked) is answer


def test_the_chain_is_cut_where_it_gets_too_long():
    error = ValueError("root")
    for number in range(100):
        error = TaskFailedError(f"level {number}", FailureDetails.from_exception(error))

    details, length = FailureDetails.from_exception(error), 0
    while details is not None:
        details, length = details.inner_failure, length + 1

    assert length == FAILURE_CHAIN + 1


def test_a_cycle_of_causes_is_cut():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert FailureDetails.from_exception(first).message == "first"


def test_an_error_that_can_not_be_described_is_described_all_the_same():
    details = FailureDetails.from_exception(NoText())

    assert details.message == "<NoText whose __str__ raised KeyError>"
    assert details.is_non_retriable is False


class Untrue(Exception):
    """An error that is false, and that can't even be asked."""

    def __bool__(self):
        raise KeyError("x")


class Exits(Exception):
    """An error whose parts exit."""

    def __str__(self):
        raise SystemExit

    @property
    def properties(self):
        raise SystemExit


class Members(ExceptionGroup):
    """A group that does not give its members away."""

    @property
    def exceptions(self):
        raise KeyError("x")


class Items(dict):
    """A dictionary that can't be read."""

    def items(self):
        raise KeyError("x")


class Unnamed(Exception):
    """An error whose names no database holds."""


Unnamed.__module__, Unnamed.__qualname__ = "a\x00", "b\ud800"


def with_properties():
    error = ValueError("no")
    error.properties = Items(a=1)
    return error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Exits(), "Exits", "<Exits whose __str__ raised SystemExit>"),
        (Members("two", [ValueError()]), "Members", "two (1 sub-exception)"),
        (with_properties(), "ValueError", "no"),
        (Unnamed("no"), "a\\x00.b\\ud800", "no"),
        (SyntaxError("no", ("f", 1, "not a number", "text\n")), "SyntaxError", "no (f, line 1)"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_whatever_the_error_does_it_is_described_with_its_trace(error, kind, message):
    details = FailureDetails.from_exception(caught(error))

    assert details.error_type.endswith(kind)
    assert details.message == message
    assert "raise error from cause" in details.stack_trace
    assert json.dumps(details.to_json()).encode()


def test_a_cause_counts_whatever_its_truth_value():
    assert FailureDetails.from_exception(caught(RuntimeError("outer"), Untrue("inner"))).is_caused_by(Untrue)


def test_the_process_can_be_told_to_stop_while_an_error_is_described():
    class Stops(SystemExit):
        """The way of a worker to stop."""

    class Interrupted(Exception):
        def __str__(self):
            raise Stops

    with pytest.raises(Stops):
        FailureDetails.from_exception(Interrupted())


def test_what_no_database_holds_is_escaped():
    details = FailureDetails.from_exception(caught(ValueError("a\x00b\ud800")))

    assert details.message == "a\\x00b\\ud800"
    assert "\x00" not in details.stack_trace


def test_long_texts_keep_the_beginning_of_the_message_and_the_end_of_the_trace():
    def deep(level):
        if not level:
            raise ValueError("x" * 10_000)
        if level % 2:  # two lines in turn: Python folds repeated ones
            deep(level - 1)
        deep(level - 1)

    with pytest.raises(ValueError, match="x") as raised:
        deep(500)
    details = FailureDetails.from_exception(raised.value)

    assert len(details.message) == FAILURE_MESSAGE_CHARACTERS
    assert len(details.stack_trace) == STACK_TRACE_CHARACTERS


@pytest.mark.parametrize("kind", [ValueError, lambda text: ExceptionGroup(text, [KeyError("x" * 10_000)])])
@pytest.mark.parametrize("message", ["y" * 10_000, "\ud800" * 1_500], ids=["long", "long once it is escaped"])
def test_the_frames_are_kept_however_long_the_message_is(kind, message):
    details = FailureDetails.from_exception(caught(kind(message)))

    assert [frame.function for frame in frames(details.stack_trace)] == ["caught"]
    assert ("ExceptionGroup" if kind is not ValueError else "ValueError") in details.stack_trace
    assert len(details.stack_trace) <= STACK_TRACE_CHARACTERS


def test_a_non_retriable_error_says_so():
    assert FailureDetails.from_exception(Fatal()).is_non_retriable is True


def test_the_summary_is_one_short_line():
    details = FailureDetails("shop.errors.CardDeclined", "no money\nat all " + "x" * 1000)

    assert details.summary == "CardDeclined: no money"


def test_the_members_of_a_group_are_kept_with_their_causes():
    try:
        raise LookupError("cause")
    except LookupError as cause:
        broken = RuntimeError("member")
        broken.__cause__ = cause
    group = ExceptionGroup("some", [ExceptionGroup("inner", [broken]), KeyError("other")])

    details = FailureDetails.from_json(FailureDetails.from_exception(caught(group)).to_json())

    inner, _ = details.members
    assert (inner.members[0].message, inner.members[0].inner_failure.message) == ("member", "cause")
    for kind in (LookupError, RuntimeError, "KeyError", ExceptionGroup):
        assert details.is_caused_by(kind), kind
    assert not details.is_caused_by(OSError)


def test_a_group_of_very_many_is_cut():
    many = ExceptionGroup("many", [ExceptionGroup(str(n), [ValueError(n)] * 10) for n in range(20)])

    assert len(list(FailureDetails.from_exception(many).all_failures())) == FAILURES


def test_what_is_passed_on_counts_too():
    told = FailureDetails.from_exception(ExceptionGroup("many", [ValueError(n) for n in range(50)]))
    group = ExceptionGroup("again", [TaskFailedError("failed", told) for _ in range(3)])

    assert len(list(FailureDetails.from_exception(group).all_failures())) == FAILURES


def test_properties_that_are_json_travel_with_the_failure():
    class Declined(Exception):
        properties = {
            "code": 7,
            "at": datetime(2026, 1, 1, tzinfo=UTC),
            "who": object(),
            8: "no text",
            "parts": [{"a": None}],
        }

    details = FailureDetails.from_json(FailureDetails.from_exception(Declined()).to_json())

    assert details.properties == {"code": 7, "at": "2026-01-01T00:00:00Z", "parts": [{"a": None}]}


@pytest.mark.parametrize("properties", [None, ["a list"], 5])
def test_properties_that_are_no_dictionary_are_left_out(properties):
    error = ValueError("no")
    error.properties = properties

    assert "properties" not in FailureDetails.from_exception(error).to_json()


def test_properties_beyond_their_limit_are_left_out():
    error = ValueError("no")
    error.properties = {"long": "x" * FAILURE_PROPERTIES_BYTES, "short": 1}

    assert FailureDetails.from_exception(error).properties == {"short": 1}


def test_what_was_stored_before_there_were_members_and_properties_is_read():
    stored = {"errorType": "ValueError", "errorMessage": "m", "innerFailure": None, "typeNames": ["ValueError"]}

    assert FailureDetails.from_json(stored) == FailureDetails("ValueError", "m", type_names=("ValueError",))


def test_details_from_elsewhere_may_lack_keys():
    assert FailureDetails.from_json({"errorMessage": "m", "stackTrace": None}).message == "m"


TRACE = """Traceback (most recent call last):
  File "/srv/shop/orders/flows.py", line {line}, in charge
    gateway.pay(amount)
  File "/srv/venv/lib/python3.12/site-packages/gateway/client.py", line 9, in pay
    raise ConnectionError(amount)
"""


def failure(message="no 7", *, kind="ConnectionError", trace=None, inner=None):
    return FailureDetails(kind, message, TRACE.format(line=48) if trace is None else trace, inner)


def test_failures_of_one_place_and_type_are_alike_whatever_they_say():
    wrapped = failure(kind="TaskFailedError", trace="", inner=failure("no 9", trace=TRACE.format(line=51)))

    assert failure().fingerprint == failure("no 8").fingerprint == wrapped.fingerprint
    assert len(failure().fingerprint) == 16


@pytest.mark.parametrize(
    "other",
    [
        failure(kind="ValueError"),
        failure(trace=TRACE.replace("in charge", "in refund")),
        failure(trace=TRACE.replace("flows.py", "refunds.py")),
        failure(trace=""),
    ],
)
def test_failures_of_another_place_or_type_are_not(other):
    assert other.fingerprint != failure().fingerprint


def test_failures_without_the_authors_code_are_told_apart_by_their_words():
    poison = failure("Workers died 3 times while running 'a'.", trace="")

    assert poison.fingerprint == failure("Workers died 10 times while running 'b'.", trace="").fingerprint
    assert poison.fingerprint != failure("'order' was terminated.", trace="").fingerprint


def test_a_trace_is_read_into_frames():
    own, library = frames(TRACE.format(line=48))

    assert (own.file, own.line, own.function, own.code) == (
        "/srv/shop/orders/flows.py",
        48,
        "charge",
        "gateway.pay(amount)",
    )
    assert (own.is_own, library.is_own) == (True, False)
    assert place_of([own, library]) is own
    assert place_of([library]) is library
    assert place_of(frames("nonsense")) is None


def test_a_real_trace_is_read_too():
    (frame,) = frames(FailureDetails.from_exception(caught(CardDeclined("no"))).stack_trace)

    assert (frame.function, frame.code) == ("caught", "raise error from cause")
