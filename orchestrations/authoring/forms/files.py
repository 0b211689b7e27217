"""Files that people send with an answer: they go to the storage, and the answer says where they are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import IO, Any

from django.core.files.storage import Storage, storages
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import get_valid_filename

from orchestrations.conf import get_config
from orchestrations.errors import PayloadNotKept

FOLDER = "durable/answers"  # in the storage of large payloads


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
        """The content, for reading in an activity. Raises FileNotFoundError where the storage no longer has it."""
        return _storage().open(self.key, "rb")


def keep(upload: UploadedFile[Any]) -> AnswerFile:
    """Keep the upload under a name never used before. Raises PayloadNotKept where the storage does not take it."""
    name = upload.name or "file"
    try:
        key = _storage().save(f"{FOLDER}/{uuid.uuid4().hex}/{get_valid_filename(name)}", upload)
    except Exception as error:  # each storage has errors of its own
        raise PayloadNotKept(
            f"The file {name!r} could not be kept: {error}. See to the storage that "
            "DURABLE['LARGE_PAYLOAD_STORAGE'] names."
        ) from error
    return AnswerFile(name, upload.size or 0, upload.content_type or "", key)


def _storage() -> Storage:
    return storages[get_config().large_payload_storage]
