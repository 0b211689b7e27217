"""Fan-out/fan-in: many activities at the same time, and one that works on all their results.

Without ``at_once`` this would be a single ``task_all`` over every photo. Bounding the width is what one does where the
service behind the activities bears only so much.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from orchestrations import OrchestrationContext, activity, orchestrator


@dataclass(frozen=True)
class Gallery:
    """``seconds_each`` is how long one thumbnail takes, so that a visitor can watch the work advance."""

    album: str
    photos: int
    at_once: int = 4
    seconds_each: float = 0.0


@dataclass(frozen=True)
class Photo:
    """One photo of an album."""

    file: str
    seconds: float


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail as it is stored."""

    file: str
    kilobytes: int


@dataclass(frozen=True)
class Contents:
    """The page of an album."""

    album: str
    thumbnails: int
    kilobytes: int


@activity
def list_photos(gallery: Gallery) -> list[Photo]:
    """Return the photos of the album. What exists outside is asked in an activity, never in the orchestrator."""
    return [
        Photo(file=f"{gallery.album}-{number:04}.jpg", seconds=gallery.seconds_each)
        for number in range(1, gallery.photos + 1)
    ]


@activity
async def make_thumbnail(photo: Photo) -> Thumbnail:
    """Make one thumbnail. An asynchronous activity holds no thread while it waits."""
    await asyncio.sleep(photo.seconds)
    return Thumbnail(file=photo.file.replace(".jpg", ".webp"), kilobytes=20 + len(photo.file))


@activity
def write_contents(thumbnails: list[Thumbnail]) -> Contents:
    """Write the page that shows all of them."""
    album = thumbnails[0].file.rpartition("-")[0] if thumbnails else ""
    return Contents(
        album=album, thumbnails=len(thumbnails), kilobytes=sum(thumbnail.kilobytes for thumbnail in thumbnails)
    )


@orchestrator
async def make_gallery(context: OrchestrationContext, gallery: Gallery) -> Contents:
    """Make the thumbnails of an album, ``at_once`` at a time, and report progress in the custom status."""
    photos: list[Photo] = await context.call_activity(list_photos, gallery)
    thumbnails: list[Thumbnail] = []
    for first in range(0, len(photos), gallery.at_once):
        wave = photos[first : first + gallery.at_once]
        thumbnails += await context.task_all([context.call_activity(make_thumbnail, photo) for photo in wave])
        context.set_custom_status({"done": len(thumbnails), "of": len(photos)})
    contents: Contents = await context.call_activity(write_contents, thumbnails)
    return contents
