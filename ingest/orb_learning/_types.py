"""Field types shared by events and records: the bounds of every value that may be stored.

The bounds are wide enough for any real run and narrow enough that SQL arithmetic on stored
values can never overflow: counts fit INTEGER, and a sum of a billion durations or costs fits
DECIMAL(38, 9).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import sys
import time
import unicodedata
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, cast

import uuid_utils.compat
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    StringConstraints,
)

from orb_learning._coercion import EARLIEST, LATEST, BlankIsNone, InNfc, NotBool, in_nfc, moment

NAMESPACE = uuid.UUID("6f72622d-6c65-5172-8e69-6e672d763100")
"""UUIDv5 namespace of ids derived from a host's own strings and from imported rows."""

EMBEDDING_DIMENSIONS = 384
MAX_INT = 2**31 - 1
MAX_REAL = 1e9
MAX_METADATA_DEPTH = 64
MAX_METADATA_CHARACTERS = 256 * 1024
"""No line is longer (`spool.MAX_LINE_BYTES`), so more metadata fits none."""
MAX_FIELDS = 10_000
"""Items that are read of a mapping of a host's own class, which need have no end."""
MAX_METADATA_INT_BITS = 1023
"""What a DOUBLE can hold, and so what every JSON reader takes."""
LAST_MOMENT = LATEST - timedelta(microseconds=1)
_BYTES = (bytes, bytearray, memoryview)


class ErrorType(StrEnum):
    """Why an execution failed. Other strings are accepted wherever this type is, and kept."""

    TIMEOUT = "timeout"
    QUALITY_GATE = "quality_gate"
    CRASH = "crash"
    VALIDATION = "validation"
    UNKNOWN = "unknown"


def new_id() -> uuid.UUID:
    """Return a UUIDv7: unique, and ordered by the time it was made."""
    if sys.is_finalizing():  # what is compiled may be gone
        return _late_id()
    return uuid_utils.compat.uuid7()


def _late_id() -> uuid.UUID:
    milliseconds = time.time_ns() // 1_000_000
    data = bytearray(milliseconds.to_bytes(6, "big") + os.urandom(10))
    data[6] = 0x70 | data[6] & 0x0F
    data[8] = 0x80 | data[8] & 0x3F
    return uuid.UUID(bytes=bytes(data))


def utc_now() -> datetime:
    """Return the host's clock, timezone-aware, in UTC."""
    return datetime.now(UTC)


def task_uuid(reference: object) -> uuid.UUID:
    """Return the task id that stands for a host's own reference.

    A UUID, its 16 bytes, or a string that spells one, is taken as it is; any other reference maps
    to the same UUIDv5 in every process.

    Raises:
        ValueError: the reference is empty, a container, other bytes, or cannot be written as text.
    """
    if isinstance(reference, uuid.UUID):
        return reference
    if isinstance(reference, _BYTES):
        return _uuid_of(bytes(reference))
    if isinstance(reference, Mapping | list | tuple | set | frozenset):
        # Its text may take forever: a shared item is spelled at every use.
        raise ValueError("a task id is one value, not a container of values")
    text = str(reference)
    if not text.strip():
        raise ValueError("a task id needs at least one character")
    try:
        return uuid.UUID(text)
    except ValueError:
        return _uuid5(text)


def _uuid_of(data: bytes) -> uuid.UUID:
    if len(data) == 16:
        return uuid.UUID(bytes=data)
    try:
        return uuid.UUID(data.decode())
    except ValueError:
        raise ValueError(f"a task id in bytes is the 16 of a UUID, not {len(data)}") from None


def subject_hash(identity: str) -> str:
    """Return what stands for the id of an erased task or user: SHA-256, in hex."""
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


def folded_user(user_id: str) -> str:
    """Return the one spelling of a user's id: in NFC, an e-mail address in NFKC and small letters.

    What is no address keeps its case: `Ann` and `ann` may be two users.
    """
    if user_id.isascii() and "@" not in user_id:
        return user_id
    compatible = unicodedata.normalize("NFKC", user_id)
    if "@" not in compatible:
        return unicodedata.normalize("NFC", user_id)
    return unicodedata.normalize("NFKC", compatible.casefold())


def pseudonym(user_id: str) -> str:
    """Return what stands for a user id that is an e-mail address or holds another secret.

    It is the same for the same user id, so that one user's feedback stays together and can be
    erased together. A hook folds the id first (`folded_user`).
    """
    return f"user-{subject_hash(user_id)[:16]}"


def _uuid5(text: str) -> uuid.UUID:
    # As `uuid.uuid5` in the namespace, which imports at each call: not while Python shuts down.
    digest = hashlib.sha1(NAMESPACE.bytes + text.encode(), usedforsecurity=False).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


_ITEMS = (dict.items, OrderedDict.items)


def as_dict(items: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a mapping as a plain dict, of one that is a host's own at most `MAX_FIELDS` items.

    Such a one need have no end; a dict has one, unless its class says otherwise.
    """
    if items.__class__ is dict:
        return cast("dict[Any, Any]", items)
    if getattr(type(items), "items", None) in _ITEMS:
        return dict(items.items())
    return dict(itertools.islice(items.items(), MAX_FIELDS))


def with_task_uuid(values: Any) -> Any:
    """Replace a host's own task reference by its UUID and keep the reference in the metadata."""
    if not isinstance(values, Mapping) or values.get("task_id") is None:
        return values
    reference = values["task_id"]
    task_id = task_uuid(reference)
    if reference is task_id:
        return values
    replaced = {**as_dict(values), "task_id": task_id}
    if uuid_text_differs(reference, task_id):
        metadata = values.get("metadata")
        if metadata is None or isinstance(metadata, Mapping):
            replaced["metadata"] = {"task_ref": str(reference), **as_dict(metadata or {})}
    return replaced


def uuid_text_differs(reference: object, task_id: uuid.UUID) -> bool:
    """Tell whether a reference is a name of its own and not a spelling of the UUID."""
    if isinstance(reference, _BYTES):
        return False
    try:
        return uuid.UUID(str(reference)) != task_id
    except ValueError:
        return True


def to_utc(value: datetime) -> datetime:
    """Return an aware time in UTC.

    Raises:
        ValueError: it is not between 1970 and 2200.
    """
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        value = EARLIEST.replace(year=1)
    if not EARLIEST <= value < LATEST:
        raise ValueError("time must lie between 1970-01-01 and 2200-01-01")
    return value


def _null_if_reported(value: str) -> str | None:
    """Leave out what was the only source before there were two: the same fact stays the same."""
    return None if value == "reported" else value


def _known_error(value: str) -> str:
    try:
        return ErrorType(value)
    except ValueError:
        return in_nfc(value)


def _fits_a_line(value: object) -> object:
    # Before pydantic walks it: a graph of containers that hold each other has more paths than
    # any process has time for.
    if not isinstance(value, Mapping):
        return value
    value = as_dict(value)
    containers: list[tuple[Any, int]] = [(value, 1)]
    left = MAX_METADATA_CHARACTERS
    while containers:
        items, depth = containers.pop()
        if depth > MAX_METADATA_DEPTH:
            raise ValueError(f"contains itself or is nested over {MAX_METADATA_DEPTH} levels deep")
        left -= 2 * len(items)
        is_dict = isinstance(items, dict)
        if type(items).items not in _ITEMS if is_dict else type(items).__iter__ != list.__iter__:
            raise ValueError(f"holds a {type(items).__name__}, which need have no end")
        if is_dict:
            items = [*items, *items.values()]
        for item in items:
            if isinstance(item, str):
                left -= len(item)
                if not item.isascii():
                    item.encode()
            elif isinstance(item, dict | list):
                containers.append((item, depth + 1))
            elif isinstance(item, int) and item.bit_length() > MAX_METADATA_INT_BITS:
                raise ValueError(f"an integer has over {MAX_METADATA_INT_BITS} bits")
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("a number is not finite")
        if left < 0:
            raise ValueError(f"is over {MAX_METADATA_CHARACTERS} characters long")
    return value


Text = Annotated[str, StringConstraints(min_length=1)]
OptionalText = Annotated[str | None, BlankIsNone()]
Name = Annotated[Text, InNfc()]
OptionalName = Annotated[str | None, BlankIsNone(is_name=True)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[AwareDatetime, BeforeValidator(moment), AfterValidator(to_utc)]
Version = Annotated[int, Field(ge=1), NotBool()]
Count = Annotated[int, Field(ge=0, le=MAX_INT), NotBool()]
Attempt = Annotated[int, Field(ge=1, le=MAX_INT), NotBool()]
Fraction = Annotated[float, Field(ge=0, le=1), NotBool()]
Propensity = Annotated[float, Field(gt=0, le=1), NotBool()]
Score = Annotated[int, Field(ge=0, le=100), NotBool()]
Rating = Annotated[int, Field(ge=1, le=5), NotBool()]
Amount = Annotated[float, Field(ge=0, le=MAX_REAL), NotBool()]
ErrorTypeName = Annotated[Text, AfterValidator(_known_error)]
Embedding = Annotated[
    list[Annotated[float, NotBool()]],
    Field(min_length=EMBEDDING_DIMENSIONS, max_length=EMBEDDING_DIMENSIONS),
]
Metadata = Annotated[dict[str, JsonValue], BeforeValidator(_fits_a_line)]
TimestampSource = Literal["captured"]
DurationSource = Annotated[Literal["reported", "measured"], AfterValidator(_null_if_reported)]
Maturity = Literal["new", "stable", "mature"]
Strictness = Literal["lenient", "standard", "strict"]


def _sums_to_one(value: dict[str, float]) -> dict[str, float]:
    if value and abs(sum(value.values()) - 1) > 1e-6:
        raise ValueError("the candidates' probabilities must sum to 1")
    return value


def _with_an_end(value: object) -> object:
    return as_dict(value) if isinstance(value, Mapping) else value


Candidates = Annotated[
    dict[Name, Fraction], BeforeValidator(_with_an_end), AfterValidator(_sums_to_one)
]
