"""Starting: one instance for each id, whoever asks."""

from __future__ import annotations

import pytest

from orchestrations.errors import InstanceAlreadyExists
from tests.runtime import functions


def test_a_live_id_is_refused_and_an_ended_one_is_used_again(client, run, worker):
    client.start_new(functions.chain, "order", 1)
    with pytest.raises(InstanceAlreadyExists):
        client.start_new(functions.chain, "order", 2)
    worker.run_until_ended("order")

    assert run(functions.chain, 2, "order").runtime_status == "Completed"
