"""Forms and types as an author would declare them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import pydantic
from django import forms
from django.db.models import TextChoices
from msgspec import Meta, Struct

from orchestrations import HumanForm


class Approval(HumanForm):
    limit = forms.DecimalField(label="New limit (EUR)", min_value=0, max_value=5000, required=False)
    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    reason = forms.CharField(widget=forms.Textarea, required=False)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if cleaned and cleaned.get("decision") == "reject" and not cleaned.get("reason"):
            self.add_error("reason", "Required when you reject.")
        return cleaned

    class Human:
        outcome = "decision"
        layout = ("decision", "limit", "reason")
        version = 3
        bulk = True


class Colour(Enum):
    RED = "red"
    DEEP_BLUE = "blue"


class Size(TextChoices):
    SMALL = "s", "Quite small"
    LARGE = "l", "Rather large"


@dataclass
class Line:
    article: str
    count: Annotated[int, Meta(ge=1, le=99)] = 1
    price: Decimal | None = None


@dataclass
class Address:
    street: str
    town: str = ""


@dataclass
class Order:
    """One of everything."""

    customer: Annotated[str, Meta(min_length=2, max_length=20, title="Who", description="As in the contract.")]
    verdict: Literal["accept", "decline"]
    rating: Annotated[int, Meta(ge=1, lt=6)]
    share: Annotated[float, Meta(gt=0, le=1)]
    day: date
    colour: Colour | None = None
    sizes: list[Size] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    address: Address | None = None
    mail: str = field(default="", metadata={"format": "email", "label": "E-mail"})
    code: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "AB"
    is_urgent: bool = False

    def __post_init__(self) -> None:
        if self.is_urgent and self.rating < 3:
            raise ValueError("Only good ones are urgent.")


class Amount(Struct):
    euros: Annotated[int, Meta(multiple_of=5)]
    note: str | None = None


class Trip(TypedDict, total=False):
    where: str
    nights: int


class Booking(pydantic.BaseModel):
    guest: str = pydantic.Field(min_length=2, title="Guest", description="As in the passport.")
    nights: Annotated[int, pydantic.Field(ge=1, le=30)] = 2
    site: pydantic.HttpUrl | None = None

    @pydantic.field_validator("guest")
    @classmethod
    def be_somebody(cls, guest: str) -> str:
        if guest == "nobody":
            raise ValueError("there is no such guest")
        return guest


@dataclass
class Decision:
    approved: bool
    comment: str = ""
