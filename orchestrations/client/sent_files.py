"""The files that come with one answer: kept before it is judged for good, and gone again where it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrations import payload_files
from orchestrations.authoring.forms.files import AnswerFile, keep_with_answer
from orchestrations.errors import DurableError

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile


@dataclass(frozen=True, slots=True)
class SentFiles:
    """What has been kept so far, by the names in the storage."""

    hub: str
    names: list[str] = field(default_factory=list)

    def keep(self, upload: UploadedFile[Any]) -> AnswerFile:
        """Keep one more. Raises PayloadNotKept where the storage does not take it."""
        kept = keep_with_answer(self.hub, upload)
        self.names.append(kept.key)
        return kept


@contextmanager
def sent_files(hub: str) -> Iterator[SentFiles]:
    """Delete what was kept within if the answer is refused.

    Any other error may be that of a commit which has come through after all; then the files are left to the sweep.
    """
    files = SentFiles(hub)
    try:
        yield files
    except (DurableError, TypeError):
        payload_files.delete(files.names)
        raise
