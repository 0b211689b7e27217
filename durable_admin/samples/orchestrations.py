"""What autodiscovery imports: every module of this app that declares functions."""

from durable_admin.samples import (
    accounts,
    approval,
    async_http,
    chaining,
    cross_app,
    eternal,
    fan_out,
    monitor,
    order,
    purchase,
    retries,
    rewind,
    singleton,
    sub_orchestrations,
    verification,
    versioned,
)

__all__ = [
    "accounts",
    "approval",
    "async_http",
    "chaining",
    "cross_app",
    "eternal",
    "fan_out",
    "monitor",
    "order",
    "purchase",
    "retries",
    "rewind",
    "singleton",
    "sub_orchestrations",
    "verification",
    "versioned",
]
