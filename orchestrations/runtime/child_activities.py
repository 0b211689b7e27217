"""Running activities in a process of their own, one after another, as the worker orders."""

from __future__ import annotations

import asyncio
import operator
import os
import queue
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO

from django.db import close_old_connections, connections

from orchestrations.authoring.activities import ActivityDefinition, Deferral
from orchestrations.authoring.registry import registry
from orchestrations.core.failures import FailureDetails
from orchestrations.runtime.activity_runs import context_for
from orchestrations.runtime.child_messages import Answer, Deferred, Failed, Heard, Returned, Run, line, read_order


class ChildActivities:
    """Listens on a thread of its own, so that it hears of a cancellation and of the worker's end while one runs."""

    def __init__(self, orders: BinaryIO, answers: BinaryIO) -> None:
        self._orders = orders
        self._answers = answers
        self._runs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Run what is ordered until the worker is gone."""
        threading.Thread(target=self._listen, name="orders", daemon=True).start()
        while True:
            order = self._runs.get()
            use_databases(order.databases)
            close_old_connections()
            try:
                answer = self._run(order)
            except BaseException as error:  # whatever it is, it is the activity's failure
                answer = Failed(FailureDetails.from_exception(error).to_json())
            close_old_connections()
            self._send(answer)

    def _listen(self) -> None:
        for text in self._orders:
            order = read_order(text)
            if isinstance(order, Run):
                self._cancelled.clear()
                self._runs.put(order)
            else:
                self._cancelled.set()
        os._exit(0)  # the worker is gone, and nobody wants what is computed here

    def _run(self, order: Run) -> Answer:
        definition = find(order)
        context = context_for(order.work, order.hub, self._cancelled.is_set, lambda details: self._send(Heard(details)))
        value = definition.function(*definition.arguments(context, order.work.input))
        if definition.is_async:
            value = asyncio.run(value)
        if isinstance(value, Deferral):
            return Deferred(value.timeout_seconds)
        return Returned(definition.encode_output(value))

    def _send(self, answer: Answer) -> None:
        with self._writing:
            self._answers.write(line(answer))
            self._answers.flush()


def find(order: Run) -> ActivityDefinition:
    """The activity, by its name or, where no app of the site declares it, as the function that the worker has.

    Raises FunctionNotRegistered, ImportError and AttributeError.
    """
    name = order.work.name
    if not registry.has_activity(name):
        declared: Any = operator.attrgetter(order.qualified_name)(import_module(order.module))
        if not registry.has_activity(name) and isinstance(declared.durable, ActivityDefinition):
            return declared.durable
    return registry.activity(name)


def use_databases(names: Mapping[str, str]) -> None:
    """Go to the databases that the worker goes to, which in tests are not those of the settings."""
    for alias, name in names.items():
        if alias in connections and str(connections[alias].settings_dict["NAME"]) != name:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = name
