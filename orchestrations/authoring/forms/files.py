"""Files that people send with an answer: they go to the storage, and the answer says where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage, storages
from django.core.files.uploadedfile import UploadedFile

from orchestrations import payload_files
from orchestrations.conf import get_config


@dataclass(frozen=True)
class AnswerFile:
    """A file that came with an answer, as orchestrators and activities see it."""

    name: str
    """As its sender called it."""
    size: int
    """In bytes."""
    content_type: str
    """As the browser said; nothing has checked it."""
    key: str
    """Its name in the storage that ``DURABLE["LARGE_PAYLOAD_STORAGE"]`` names."""

    def open(self) -> IO[Any]:
        """The content, for reading in an activity. Raises FileNotFoundError where the storage no longer has it.

        Raises SuspiciousFileOperation for a key that no upload was given: whoever sends JSON can name any file.
        """
        if not payload_files.is_upload(self.key):
            raise SuspiciousFileOperation(f"{self.key!r:.100} is no file that came with an answer or an input.")
        return _storage().open(self.key, "rb")


def keep_with_answer(hub: str, upload: UploadedFile[Any]) -> AnswerFile:
    """Keep a file of an answer under a name never used before: until its instance is purged, once the answer is taken.

    Raises PayloadNotKept where the storage does not take it.
    """
    return _keep(hub, upload, payload_files.ANSWERS)


def keep_with_input(hub: str, upload: UploadedFile[Any]) -> AnswerFile:
    """The same for an input. It stays: whoever restarts the instance, or is handed the input, may read it still."""
    return _keep(hub, upload, payload_files.INPUTS)


def _keep(hub: str, upload: UploadedFile[Any], top: str) -> AnswerFile:
    key = payload_files.write_upload(hub, upload, top)
    return AnswerFile(upload.name or "file", upload.size or 0, upload.content_type or "", key)


def _storage() -> Storage:
    return storages[get_config().large_payload_storage]
