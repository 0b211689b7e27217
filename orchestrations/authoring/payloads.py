"""The one JSON door: everything that becomes a payload column passes through here, and everything read from one.

What can't be stored and read back on every supported database is refused here with the path to it, and nowhere later.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from orchestrations.authoring import faults
from orchestrations.authoring.conversions import Decoder, UnsupportedType, decoder_for, to_encodable, type_name
from orchestrations.errors import ConfigurationError, PayloadRejected
from orchestrations.limits import PAYLOAD_BYTES, PAYLOAD_DEPTH

_encode = msgspec.json.Encoder(enc_hook=to_encodable).encode
_refuse_non_finite = json.JSONEncoder(allow_nan=False, check_circular=False).encode
_AT = re.compile(r" - at `(key` in `)?([^`]+)`$")


def encode(value: object, subject: str) -> str | None:
    """Return the value as JSON text, or None for None.

    Sets and tuples become arrays, numeric keys become strings, and the order of keys is kept. ``subject`` names what
    is encoded ("activity 'charge': parameter 'order'"). Raises PayloadRejected, naming it and the path, for a value
    without a JSON form, NaN and infinities, U+0000 and lone surrogates, more than PAYLOAD_DEPTH levels and more than
    PAYLOAD_BYTES.
    """
    if value is None:
        return None
    try:
        text = _encode(value)
    except Exception as error:  # a class's own to_json may raise anything
        fault = faults.find_in_value(value) or faults.Fault("$", f"can't be encoded ({error})", "Pass JSON values.")
        raise _rejected(fault, subject) from error
    if len(text) > PAYLOAD_BYTES:
        raise _rejected(faults.too_large(len(text)).at("$"), subject)
    if b"\\u0000" in text and (offset := faults.offset_of_nul(text)) is not None:
        raise _rejected(faults.NUL.at(faults.path_at(text, offset)), subject)
    if text.count(b"[") + text.count(b"{") > PAYLOAD_DEPTH and faults.is_too_deep(text):
        raise _rejected(faults.find_in_value(value) or faults.TOO_DEEP.at("$"), subject)
    if b"null" in text:
        _check_finite(value, subject)
        if text == b"null":
            return None
    return text.decode()


def decode(text: str | None, data_type: object, subject: str) -> Any:
    """Return the value of JSON text, converted to ``data_type`` (None, ``Any`` and ``object`` leave it as it is).

    Raises PayloadRejected, naming the subject, the type and the path, when the text does not fit; ConfigurationError
    when no JSON could.
    """
    try:
        decoder = decoder_for(data_type)
    except (UnsupportedType, NameError) as error:
        raise ConfigurationError(
            f"{subject} can't be read as {type_name(data_type)}: {error}. Use a type that JSON can be decoded to."
        ) from error
    return decode_with(decoder, text, subject)


def decode_with(decoder: Decoder, text: str | None, subject: str) -> Any:
    """Return the value of JSON text by a compiled decoder; None stands for ``null``. Raises PayloadRejected."""
    if text is None:
        text = "null"
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), decoder, subject) from error
    except msgspec.DecodeError as error:
        raise _rejected(faults.malformed(text.encode(errors="replace"), error), subject) from error
    except RecursionError as error:
        raise _rejected(faults.TOO_DEEP.at("$"), subject) from error
    except UnicodeEncodeError as error:
        raise _rejected(faults.SURROGATE.at("$"), subject) from error
    except Exception as error:  # the type's own code, such as a __post_init__, may raise anything
        raise _misfit(f"{type(error).__name__}: {error}", decoder, subject) from error


def check_text(text: str | bytes, subject: str) -> str | None:
    """Return foreign JSON text without its insignificant white space, or None for ``null``.

    Digits, escapes, key order and repeated keys stay as they came (a repeated key counts with its last value when the
    text is decoded). No Python value is built from it. Raises PayloadRejected, with the path, for text that is not one
    JSON value in UTF-8, or holds what ``encode`` refuses or a number that is out of range.
    """
    data = _utf8(text, subject)
    if len(data) > PAYLOAD_BYTES:
        raise _rejected(faults.too_large(len(data)).at("$"), subject)
    try:
        compact = msgspec.json.format(data, indent=-1)
    except msgspec.DecodeError as error:
        raise _rejected(faults.malformed(data, error), subject) from error
    except RecursionError as error:
        raise _rejected(faults.too_deep(data), subject) from error
    if fault := faults.find_in_text(compact):
        raise _rejected(fault, subject)
    return None if compact == b"null" else compact.decode()


def _utf8(text: str | bytes, subject: str) -> bytes:
    try:
        if isinstance(text, str):
            return text.encode()
        text.decode()
        return bytes(text)
    except UnicodeEncodeError as error:
        place = faults.path_at(
            error.object.encode(errors="surrogatepass"), len(error.object[: error.start].encode()) + 1
        )
        raise _rejected(faults.SURROGATE.at(place), subject) from error
    except UnicodeDecodeError as error:
        place = faults.path_at(error.object, error.start + 1)
        raise _rejected(faults.NOT_UTF8.at(place), subject) from error


def _check_finite(value: object, subject: str) -> None:
    """msgspec writes NaN and infinities as null; the standard library's encoder refuses them, at the same speed."""
    try:
        _refuse_non_finite(msgspec.to_builtins(value, str_keys=True, enc_hook=to_encodable))
    except ValueError as error:
        raise _rejected(faults.find_in_value(value) or faults.NOT_FINITE.at("$"), subject) from error


def _misfit(message: str, decoder: Decoder, subject: str) -> PayloadRejected:
    at = _AT.search(message)
    path = at[2] if at else "$"
    reason = message.replace("`", "")
    wanted = f" as {type_name(decoder.type)}" if decoder.type is not Any else ""
    return PayloadRejected(
        f"{subject} can't be read{wanted}: {reason}. Send what the annotation says, or change it.",
        subject=subject,
        path=path,
    )


def _rejected(fault: faults.Fault, subject: str) -> PayloadRejected:
    at = "" if fault.path == "$" else f" at {fault.path}"
    message = f"{subject} {fault.problem}{at}. {fault.remedy}"
    return PayloadRejected(message, subject=subject, path=fault.path)
