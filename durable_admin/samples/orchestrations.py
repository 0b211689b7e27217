"""What autodiscovery imports: every module of this app that declares functions."""

from durable_admin.samples import (
    accounts,
    approval,
    chaining,
    cross_app,
    fan_out,
    monitor,
    order,
    retries,
    rewind,
    sub_orchestrations,
    versioned,
)

__all__ = [
    "accounts",
    "approval",
    "chaining",
    "cross_app",
    "fan_out",
    "monitor",
    "order",
    "retries",
    "rewind",
    "sub_orchestrations",
    "versioned",
]
