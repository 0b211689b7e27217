"""Large payloads as compressed files in Django's storage; what a column keeps of one is a reference. And the files that
people send with answers, which lie beside them as they came.

A reference is no JSON, so it can't be taken for a payload: ``blob:v1:<bytes of the text>:<name of the file>``. Each
file is written once, under a name never used before, and belongs to one instance.
"""

from __future__ import annotations

import gzip
import logging
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeGuard

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import get_valid_filename

from orchestrations.conf import get_config
from orchestrations.errors import PayloadNotKept, PayloadUnavailable

logger = logging.getLogger("orchestrations.store")

PREFIX = "blob:v1:"
FOLDER = "durable/payloads"  # in the storage, above one folder for each task hub
ANSWERS = "durable/answers"  # the same for files that came with answers
INPUTS = "durable/inputs"  # and with starts: nobody deletes these
PARTS = 256  # folders of a task hub, by the first two digits of files' names
UPLOAD = re.compile(rf"({ANSWERS}|{INPUTS})/[^/\\]+/[0-9a-f]{{2}}/[0-9a-f]{{32}}-[^/\\]+")
NAME_KEPT = 60  # characters of the name that a file was sent under, the last ones
COMPRESSION = 3  # of 9: a third of the time of the default for a few percent more bytes
BYTES_PER_CHARACTER = 4  # in UTF-8, at most


def is_reference(text: str | None) -> TypeGuard[str]:
    """Whether a column's text stands for a file."""
    return text is not None and text.startswith(PREFIX)


def is_large(text: str | None, limit: int) -> TypeGuard[str]:
    """Whether the text has more than ``limit`` bytes in UTF-8; for a short one it is one comparison."""
    return text is not None and len(text) * BYTES_PER_CHARACTER > limit and _size(text) > limit


def size_of(reference: str) -> int:
    """How many bytes the text has that the reference stands for."""
    return int(reference.removeprefix(PREFIX).partition(":")[0])


def length_of(stored: str | None) -> int:
    """How much text a column's value stands for: characters of one that is there, bytes of one in a file."""
    if stored is None:
        return 0
    return size_of(stored) if is_reference(stored) else len(stored)


def name_of(reference: str) -> str:
    """The name of the reference's file in the storage."""
    return reference.removeprefix(PREFIX).partition(":")[2]


def write(hub: str, text: str) -> str:
    """Keep the text in a new file and return its reference. Raises PayloadNotKept where the storage does not take it.

    A file whose row is never committed is found by its age (``stray_names``).
    """
    data = text.encode()
    try:
        name = _storage().save(
            _new_name(FOLDER, hub, ".json.gz"), ContentFile(gzip.compress(data, compresslevel=COMPRESSION, mtime=0))
        )
    except Exception as error:  # each storage has errors of its own
        raise PayloadNotKept(
            f"A payload of {len(data):,} bytes could not be written to the storage {_alias()!r}: {error}. "
            "See to the storage that DURABLE['LARGE_PAYLOAD_STORAGE'] names."
        ) from error
    return f"{PREFIX}{len(data)}:{name}"


def write_upload(hub: str, upload: UploadedFile[Any], top: str) -> str:
    """Keep a file that somebody sent below ``top``, and return its name. Raises PayloadNotKept as ``write`` does."""
    sent_as = upload.name or "file"
    try:
        ending = f"-{get_valid_filename(sent_as)[-NAME_KEPT:]}"
        return _storage().save(_new_name(top, hub, ending), upload)
    except Exception as error:  # each storage has errors of its own
        raise PayloadNotKept(
            f"The file {sent_as!r} could not be kept: {error}. See to the storage that "
            "DURABLE['LARGE_PAYLOAD_STORAGE'] names."
        ) from error


def is_upload(name: str) -> bool:
    """Whether the name may be one that ``write_upload`` has given, and leads nowhere else in the storage."""
    return UPLOAD.fullmatch(name) is not None


def read(reference: str) -> str:
    """The text that the reference stands for. Raises PayloadUnavailable."""
    name = name_of(reference)
    try:
        with _storage().open(name, "rb") as file:
            data = gzip.decompress(file.read())
        if len(data) != size_of(reference):
            raise OSError(f"it holds {len(data):,} bytes instead of {size_of(reference):,}")
        return data.decode()
    except FileNotFoundError as error:
        raise _unavailable(name, "is missing") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise _unavailable(name, f"is damaged: {error}") from error
    except Exception as error:  # each storage has errors of its own
        raise _unavailable(name, f"can't be read: {error}") from error


def exists(name: str) -> bool:
    """Whether the storage has the file."""
    return _storage().exists(name)


def delete(names: Iterable[str]) -> None:
    """Delete files. What the storage refuses is logged, and swept later."""
    storage = _storage()
    for name in names:
        try:
            storage.delete(name)
        except Exception as error:  # each storage has errors of its own
            logger.warning("The file %s could not be deleted, and is left to the sweep: %s", name, error)


def names(hub: str, before: datetime, part: int | None = None) -> Iterator[str]:
    """The files of that task hub that were last written before that moment, folder by folder; or of one of PARTS."""
    storage = _storage()
    for top in (f"{FOLDER}/{hub}", f"{ANSWERS}/{hub}"):
        for folder in sorted(_listed(storage, top)[0]) if part is None else [f"{part % PARTS:02x}"]:
            yield from _old(storage, f"{top}/{folder}", before)


def _old(storage: Storage, folder: str, before: datetime) -> Iterator[str]:
    for file in sorted(_listed(storage, folder)[1]):
        name = f"{folder}/{file}"
        try:
            is_old = storage.get_modified_time(name) < before
        except FileNotFoundError:  # deleted meanwhile
            continue
        if is_old:
            yield name


def _listed(storage: Storage, folder: str) -> tuple[list[str], list[str]]:
    try:
        return storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever written there
        return [], []


def _new_name(top: str, hub: str, ending: str) -> str:
    identity = uuid.uuid4().hex
    return f"{top}/{hub}/{identity[:2]}/{identity}{ending}"


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _alias() -> str:
    return get_config().large_payload_storage


def _storage() -> Storage:
    return storages[_alias()]


def _unavailable(name: str, problem: str) -> PayloadUnavailable:
    return PayloadUnavailable(
        f"The file {name} of a large payload {problem}. Restore it in the storage {_alias()!r}; the instance can be "
        "terminated and purged without it."
    )
