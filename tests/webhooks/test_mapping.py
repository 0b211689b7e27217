"""The path language: what it reaches, what it refuses, and that it calls nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrations.webhooks.mapping import MappingError, check, expand

REQUEST = {
    "body": {"order": {"id": 7, "lines": [{"sku": "a"}, {"sku": "b"}]}, "a key": True, "none": None},
    "headers": {"x-kind": "full"},
    "id": "msg_1",
}


@pytest.mark.parametrize(
    "template, expected",
    [
        ("{body}", REQUEST["body"]),
        ("{body.order.id}", 7),
        ("{ body.order.id }", 7),
        ("{body.order.lines[1].sku}", "b"),
        ('{body["a key"]}', True),
        ("{body.none}", None),
        ("order-{body.order.id}-{headers.x-kind}", "order-7-full"),
        ("{{{id}}}", "{msg_1}"),
        ("plain", "plain"),
        ({"a": ["{id}", 1, None, {"b": "{body.order.id}"}]}, {"a": ["msg_1", 1, None, {"b": 7}]}),
        ("true: {body.none}", "true: null"),
    ],
)
def test_values_are_put_in_the_place_of_paths(template, expected):
    check(template)
    assert expand(template, REQUEST) == expected


@pytest.mark.parametrize(
    "template", ["{", "}", "{body", "{}", "{site}", "{body..a}", "{body.a b}", "{body[x]}", "{body[-1]}", "{body.a()}"]
)
def test_what_can_not_be_read_is_told_when_it_is_written(template):
    with pytest.raises(MappingError):
        check(template)


@pytest.mark.parametrize(
    "template",
    ["{body.order.x}", "{body.order.lines[2]}", "{body.order.lines.sku}", "{body.order[0]}", "{body.order.id.real}"],
)
def test_a_path_that_leads_nowhere_is_named(template):
    with pytest.raises(MappingError) as caught:
        expand(template, REQUEST)

    assert caught.value.path == template.strip("{}")


@pytest.mark.parametrize("name", ["__class__", "keys", "__init__", "items"])
def test_no_attribute_of_any_object_is_reached(name):
    with pytest.raises(MappingError):
        expand(f"{{body.{name}}}", REQUEST)


def test_an_object_is_no_part_of_a_text():
    with pytest.raises(MappingError):
        expand("order {body.order}", REQUEST)


def test_a_mapping_that_is_too_deep_is_refused():
    template: object = "x"
    for _ in range(40):
        template = [template]

    with pytest.raises(MappingError):
        check(template)


@given(
    st.recursive(
        st.text() | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_template_is_read_or_refused(template):
    try:
        check(template)
        expand(template, REQUEST)
    except MappingError:
        return
