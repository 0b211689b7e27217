"""Whatever JSON the door lets through comes back from the database byte for byte; all else is refused with a path."""

from __future__ import annotations

import json

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrations.authoring import payloads
from orchestrations.core.events import EventType
from orchestrations.errors import PayloadRejected
from orchestrations.models import HistoryEvent, InboxMessage, Instance
from orchestrations.store.contract import Message, NewInstance
from tests.authoring.strategies import VALUES
from tests.store.episodes import checkpoint, event

AWKWARD = st.sampled_from(
    [
        '{"a":1,"a":2}',
        "9223372036854775808",
        "1" + "0" * 400,
        "7" * 5_000,
        '"\\u0000"',
        '"\\ud800"',
        "Infinity",
        "NaN",
        "1e400",
        '"\U0001f600\u202e\u05d0"',
        '{"z":1,"a":{"\u00e9":[]}}',
        "[" * 70 + "]" * 70,
        '"\\\\ {} , \\" NULL"',
    ]
)


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(VALUES.map(json.dumps) | AWKWARD, min_size=50, max_size=60))
def test_2000_values_survive_or_are_refused_at_the_door(store, token, texts):
    kept = []
    for text in texts:
        try:
            kept.append(payloads.check_text(text, "the value"))
        except PayloadRejected as refused:
            assert refused.path.startswith("$")
    for model in (Instance, HistoryEvent, InboxMessage):
        model.objects.all().delete()
    ids = [f"order-{number}" for number in range(len(kept))]
    with transaction.atomic():
        store.create_instances([NewInstance(key, "order", input=text) for key, text in zip(ids, kept, strict=True)])
        sent = [event(name="go", payload=text) for text in kept]
        store.send([Message(one, instance_id=key) for key, one in zip(ids, sent, strict=True)])
    claimed = {}
    while len(claimed) < len(kept):
        claimed |= {one.instance_id: one for one in store.claim_instances(token, 100).instances}
    ended = [event(EventType.TASK_COMPLETED, task_id=0, payload=text) for text in kept]
    store.commit(
        token,
        [
            checkpoint(claimed[key], history=[one], output=text, custom_status=text, release=False)
            for key, one, text in zip(ids, ended, kept, strict=True)
        ],
    )

    loaded = store.load_history({claimed[key].pk: 1 for key in ids})
    rows = dict(Instance.objects.values_list("instance_id", "custom_status"))
    for key, text in zip(ids, kept, strict=True):
        mine = loaded[claimed[key].pk]
        [message] = claimed[key].messages
        assert [mine.input, mine.events[0].payload, message.event.payload, rows[key]] == [text] * 4
