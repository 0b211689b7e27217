"""Payload columns: what they hold is read from its file where it is large, and only when somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from orchestrations import payload_files
from orchestrations.errors import PayloadReplaced, PayloadUnavailable


class PayloadAttribute(DeferredAttribute):
    """JSON text, read from its file at the first access. Raises PayloadUnavailable then, not while rows are loaded.

    PayloadReplaced, which is one, says that the row has changed or gone since it was loaded.
    """

    def __get__(self, instance: models.Model | None, cls: type[models.Model] | None = None) -> Any:
        """The text; the field's descriptor on the class."""
        stored = super().__get__(instance, cls)
        if instance is None or not (isinstance(stored, str) and payload_files.is_reference(stored)):
            return stored
        texts: dict[str, str] = instance.__dict__.setdefault("_payload_texts", {})
        if stored not in texts:
            texts[stored] = self._read(instance, stored)
        return texts[stored]

    def _read(self, instance: models.Model, stored: str) -> str:
        """The file's text. A file goes with its reference: where it is missing, the row may be gone or say another."""
        try:
            return payload_files.read(stored)
        except PayloadUnavailable as error:
            row = type(instance)._base_manager.using(instance._state.db).filter(pk=instance.pk)
            if row.filter(**{self.field.attname: stored}).exists():
                raise
            raise PayloadReplaced("A large payload was purged or replaced while it was read. Read it again.") from error

    def __set__(self, instance: models.Model, value: Any) -> None:
        """Keep the column's value, which may be a reference."""
        instance.__dict__[self.field.attname] = value


if TYPE_CHECKING:
    Text = models.TextField[str | None, str | None]
else:
    Text = models.TextField


class PayloadField(Text):
    """JSON text, or a reference to the file that holds it. ``values_list`` and annotations give what the column has."""

    descriptor_class = PayloadAttribute

    def deconstruct(self) -> Any:
        """To the database it is a text, so that migrations need not know of it."""
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.TextField", arguments, options

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """The column's value: a reference stays one."""
        return model_instance.__dict__.get(self.attname)
