"""What autodiscovery imports: every module of this app that declares orchestrators and activities."""

from durable_admin.samples import (
    approval,
    chaining,
    fan_out,
    monitor,
    order,
    retries,
    rewind,
    sub_orchestrations,
)

__all__ = ["approval", "chaining", "fan_out", "monitor", "order", "retries", "rewind", "sub_orchestrations"]
