"""The end of a run: everything is mended and answered, and each orchestration comes to what the model says."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import ActivityWorkItem, HistoryEvent, InboxMessage, Instance, OpenWait, Timer
from tests.simulation import invariants, model, programs, strategies
from tests.simulation.orders import LIVE
from tests.simulation.programs import ledger
from tests.simulation.world import Root, World

DAY = timedelta(hours=30)  # longer than anything takes
ROUNDS = 400  # to the end; none of the programs needs as many


class Ending(World):
    """Brings a run to its end."""

    def teardown(self) -> None:
        """See that orders were followed, then mend everything, answer everything, and compare with the model."""
        if not hasattr(self, "roots"):
            return
        self.expire_leases()
        self.settle()
        self.orders.check()
        ledger.broken.clear()
        for number in range(ROUNDS):
            if self._goes_on_to_the_end(raises=number > 1):
                break
        tables = self.read()
        invariants.check(tables, self.accepted, self.forks)
        invariants.check_idle()
        noted = {programs.label_of(entry) for entry in tables.entries}
        for row in Instance.objects.filter(is_entity=False):
            is_child = row.instance_id not in self.roots
            assert row.status not in LIVE and (is_child or row.status != RuntimeStatus.FAILED), _situation(row)
            if row.status == RuntimeStatus.COMPLETED and not _may_be_nobodys_child(row):
                parts = msgspec.json.decode(row.start_input)["parts"]
                self._compare(row, Root(parts) if is_child else self.roots[row.instance_id], noted, is_child=is_child)
        self.seen.update(ledger.seen)

    def _compare(self, row: Instance, root: Root, noted: set[str], *, is_child: bool) -> None:
        instance = model.Instance(root.parts, root.version, is_child=is_child)
        where = f"{row.instance_id} {root}"
        output, custom_status = (msgspec.json.decode(text or "null") for text in (row.output, row.custom_status))
        assert output == instance.output, f"{where} returned {output}, not {instance.output}"
        assert custom_status == instance.custom_status, f"{where} shows {custom_status}, not {instance.custom_status}"
        assert set(model.noted(root.parts)) <= noted, f"{where}: noted {noted}"
        assert set(model.looked(root.parts)) <= ledger.looked, f"{where}: it did so only while replaying"

    def _goes_on_to_the_end(self, *, raises: bool) -> bool:
        """Let time pass, resume and rewind, and then raise what is waited for: what ran out of time gets it now."""
        self.pass_time(DAY)
        self.expire_leases()
        self.all_work()
        for row in Instance.objects.filter(status=RuntimeStatus.SUSPENDED):
            self.client.resume(row.instance_id)
        for row in Instance.objects.filter(status=RuntimeStatus.FAILED, instance_id__in=self.roots):
            self.client.rewind(row.instance_id)
        self.all_work()
        if raises:
            self._raise_what_is_waited_for()
            self.all_work()
        is_open = Instance.objects.filter(is_entity=False, status__in=LIVE).exists()
        failed = Instance.objects.filter(status=RuntimeStatus.FAILED, instance_id__in=self.roots)
        return not (is_open or failed.exists() or InboxMessage.objects.filter(instance__is_entity=True).exists())

    def _raise_what_is_waited_for(self) -> None:
        waits = OpenWait.objects.filter(name__in=strategies.NAMES, instance__status=RuntimeStatus.RUNNING)
        for wait in waits.select_related("instance").order_by("pk"):
            if not InboxMessage.objects.filter(instance=wait.instance, type=EventType.EVENT_RAISED).exists():
                self.raise_next(wait.instance, wait.name)


def _may_be_nobodys_child(row: Instance) -> bool:
    """Whether its parent is purged: an execution that began after that is told of none."""
    looks = any(model.looked(msgspec.json.decode(row.start_input)["parts"]))
    return looks and row.parent_id is not None and not Instance.objects.filter(pk=row.parent_id).exists()


def _situation(row: Instance) -> str:
    """What there is of an instance that does not come to its end."""
    tables = [table.objects.filter(instance=row) for table in (InboxMessage, ActivityWorkItem, Timer, HistoryEvent)]
    columns = {name: value for name, value in vars(row).items() if value and name not in {"input", "_state"}}
    found = [str({k: str(v) for k, v in values.items() if v}) for rows in tables for values in rows.values()]
    return "\n".join([str(columns), *found])
