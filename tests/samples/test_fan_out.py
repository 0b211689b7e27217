"""Fan-out/fan-in."""

from __future__ import annotations

import pytest

from durable_admin.samples.fan_out import Gallery, make_gallery
from orchestrations import OrchestrationClient
from tests.samples.conftest import Drive, Run


@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_all_results_are_gathered_whatever_the_width(run: Run, at_once: int) -> None:
    ended = run(make_gallery, Gallery(album="sea", photos=10, at_once=at_once))

    assert ended.runtime_status == "Completed"
    assert ended.output == {"album": "sea", "thumbnails": 10, "kilobytes": 10 * (20 + len("sea-0001.jpg"))}


def test_the_custom_status_tells_the_progress(run: Run) -> None:
    assert run(make_gallery, Gallery(album="sea", photos=5, at_once=2)).custom_status == {"done": 5, "of": 5}


def test_an_empty_album_has_an_empty_page(run: Run) -> None:
    assert run(make_gallery, Gallery(album="sea", photos=0)).output["thumbnails"] == 0


def test_thumbnails_that_outlast_a_worker_s_turn_are_counted(client: OrchestrationClient, drive: Drive) -> None:
    instance_id = client.start_new(
        make_gallery, client_input=Gallery(album="sea", photos=4, at_once=2, seconds_each=0.1)
    )

    assert drive(client, instance_id, until_ended=True, drain_seconds=0.01).output["thumbnails"] == 4
