"""Two sites, each with its own processes, database and key: an orchestration of one is a step of the other's."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.test_up import Site
from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc"),
    pytest.mark.xdist_group("sites"),
]

CARRIER_KEY = "the-key-of-the-carriers-site"
SHOP_KEY = "the-key-of-the-shops-site"
API = "runtime/webhooks/durabletask"
END_SECONDS = 90.0


@pytest.fixture
def sites(tmp_path, folder):
    carrier = Site(folder(tmp_path / "carrier"), DURABLE_SYSTEM_KEY=CARRIER_KEY)
    shop = Site(
        folder(tmp_path / "shop"),
        DURABLE_SYSTEM_KEY=SHOP_KEY,
        PARTNER_URL=carrier.url,
        PARTNER_KEY=CARRIER_KEY,
        DURABLE_HTTP_ALLOWED=f"127.0.0.1:{carrier.port}",
    )
    try:
        carrier.start()
        shop.start()
        yield shop, carrier
    finally:
        shop.clear()
        carrier.clear()


@pytest.fixture
def folder(migrated_into):
    """Makes the folder of a site's data."""

    def folder(path: Path) -> Path:
        path.mkdir()
        migrated_into(path)
        return path

    return folder


def ask(site: Site, key: str, path: str, **options: Any) -> httpx.Response:
    method = "POST" if "json" in options else "GET"
    headers = {"x-functions-key": key}
    return httpx.request(method, f"{site.url}{API}/{path}", headers=headers, timeout=30, trust_env=False, **options)


def status(site: Site, key: str, instance_id: str) -> dict:
    return ask(site, key, f"instances/{instance_id}?showHistory=true").json()


def test_the_shop_waits_for_an_orchestration_at_the_carriers_and_goes_on_whatever_is_killed_meanwhile(sites):
    shop, carrier = sites
    # Longer than the pause of ten seconds that a start asks for, so that the single call finds it running once.
    parcel = {"number": "T-1", "stops": ["Depot", "Van", "Door"], "look_every": "PT6S"}
    shipment = {"order": "7", "parcel": parcel, "look_every": "PT2S"}
    instances = {"loop": "ship_with_partner", "one-call": "ship_with_partner_in_one_call"}
    for instance_id, name in instances.items():
        assert ask(shop, SHOP_KEY, f"orchestrators/{name}/{instance_id}", json=shipment).status_code == 202
    for instance_id in instances:
        eventually(
            lambda i=instance_id: ask(carrier, CARRIER_KEY, f"instances/{i}-parcel").status_code == 202,
            timeout_seconds=END_SECONDS,
            otherwise=lambda: shop.log() + carrier.log(),
        )
    os.kill(shop.leader("qcluster"), signal.SIGKILL)

    for instance_id in instances:
        eventually(
            lambda i=instance_id: ask(shop, SHOP_KEY, f"instances/{i}").status_code == 200,
            timeout_seconds=END_SECONDS,
            otherwise=lambda i=instance_id: f"{status(shop, SHOP_KEY, i)}\n{shop.log()}\n{carrier.log()}",
        )

    for instance_id in instances:
        ended = status(shop, SHOP_KEY, instance_id)
        assert ended["runtimeStatus"] == "Completed", ended
        assert ended["output"] == "Order 7 was delivered, last seen: Door"
        kinds = [event["EventType"] for event in ended["historyEvents"]]
        assert kinds.count("TimerFired") >= 1, "it was asked again after a durable timer"
        there = status(carrier, CARRIER_KEY, f"{instance_id}-parcel")
        assert (there["name"], there["runtimeStatus"]) == ("follow_parcel", "Completed")
    assert shop.says("worker was ended by SIGKILL")
    kept = [path for path in shop.var_dir.rglob("durable.sqlite3*") if CARRIER_KEY.encode() in path.read_bytes()]
    assert kept == [], "the carrier's key is in the shop's database"
