"""What autodiscovery imports: every module of this app that declares orchestrators and activities."""

from durable_admin.samples import (
    approval,
    chaining,
    cross_app,
    fan_out,
    monitor,
    order,
    retries,
    rewind,
    sub_orchestrations,
)

__all__ = [
    "approval",
    "chaining",
    "cross_app",
    "fan_out",
    "monitor",
    "order",
    "retries",
    "rewind",
    "sub_orchestrations",
]
