"""Lines of every kind of event, as hooks spell them or changed a little; a seed tells which."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from orb_learning.events import EVENT_TYPES, Event, InvalidEvent

NUMBERS = [
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1",
    "1.0",
    "1.50",
    "0.5",
    ".5",
    "5.",
    "05",
    "+1",
    "1e-05",
    "1e-5",
    "0.00001",
    "0.0001",
    "0.000010",
    "1E2",
    "1e2",
    "100.0",
    "1e9",
    "1000000000.0",
    "1000000000.1",
    "1e16",
    "1e22",
    "1e308",
    "1e400",
    "5e-324",
    "0.1",
    "0.30000000000000004",
    "2147483647",
    "2147483648",
    "-1",
    "-2147483649",
    "9007199254740993",
    "123456789012345678901234567890",
    "1.7976931348623157",
    "0.12345678901234567",
    "0.1234567890123456789",
    "33.33",
    "99.999999",
    "NaN",
    "Infinity",
    "-Infinity",
    "true",
    "null",
    '"1"',
    '"0.5"',
    "3.7",
    "101",
    "5.0",
    "6",
    "0x10",
    "1_000",
    "12345678.123456",
    "0.9999999",
    "0.000001",
]
TEXTS = (
    '""',
    '" "',
    '"\\u3000"',
    '"\u3000"',
    '"\u2028"',
    '"\\u0041"',
    '"\\/"',
    '"/"',
    '"\\u0000"',
    '"\\u001f"',
    '"\\u001F"',
    '"\\u007f"',
    '"\\ud83d\\ude00"',
    '"\\ud800"',
    '"\U0001f600"',
    '"é"',
    '"e\u0301"',
    '"日本語"',
    '"\\b\\f\\n\\r\\t"',
    '"\\"quoted\\""',
    '"back\\\\slash"',
    '"it\'s"',
    '"\\",\\"attempt\\":null"',
    '"\\"captured_at\\":\\"x\\","',
    '"\x7f"',
    '"\\x41"',
    '"\ufeff"',
    '"\\"event_type\\":\\"feedback\\""',
    "null",
    "1",
    "true",
    "[]",
    "{}",
    '"' + "x" * 5000 + '"',
)
TIMES = [
    "2026-03-01T12:00:00Z",
    "2026-03-01T12:00:00.5Z",
    "2026-03-01T12:00:00.500000Z",
    "2026-03-01T12:00:00.000000Z",
    "2026-03-01T12:00:00.123456789Z",
    "2026-03-01T12:00:00+00:00",
    "2026-03-01T13:00:00+01:00",
    "2026-03-01T12:00:00",
    "2026-03-01t12:00:00z",
    "2026-03-01T12:00Z",
    "2026-02-29T12:00:00Z",
    "2024-02-29T12:00:00Z",
    "2026-02-30T12:00:00Z",
    "2026-03-01T23:59:60Z",
    "2026-03-01T24:00:00Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "2199-12-31T23:59:59.999999Z",
    "2200-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "-2026-03-01T12:00:00Z",
    "infinity",
    "epoch",
    "1772366400",
    "2026-03-01",
]
OBJECTS = (
    "{}",
    "[]",
    "null",
    '{"a":1}',
    '{"a":-1,"b":0}',
    '{"a":-0}',
    '{"a":-0.0}',
    '{"a":0.0001}',
    '{"a":0.00001}',
    '{"a":1.50}',
    '{"a":1.5}',
    '{"a":1e3}',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":1,"a":2}',
    '{"a":1,"a":1}',
    '{"a":{"b":1,"b":2}}',
    '{"a":{"b":1}}',
    '{"a":[1,2.5,"x"]}',
    '{"a":[]}',
    '{"a":[{"b":[]}]}',
    '{"a":null}',
    '{"a":1,"b":null}',
    '{"b":1,"attempt":null,"c":2}',
    '{"a":true,"b":false}',
    '{"a":"\\u0041"}',
    '{"\\u0061":1,"a":2}',
    '{"":1}',
    '{"":""}',
    '{"a":"\\/"}',
    '{"a":"\\ud800"}',
    '{"a":"é"}',
    '{"a" :1}',
    '{"a": 1}',
    '{"a":1 }',
    '{"a":1,}',
    '{"a":123456789012345}',
    '{"a":1234567890123456}',
    '{"a":12345678901234567890}',
    '{"a":1' + "0" * 400 + "}",
    '{"a":' * 70 + "1" + "}" * 70,
    '{"event_type":"feedback"}',
    '{"captured_at":"x","a":1}',
    '{"small":0.25,"large":0.75}',
    '{"small":0.25,"large":0.7500009}',
    '{"small":0.25,"large":0.7500011}',
    '{"small":0.1,"medium":0.2,"large":0.7}',
    '{"small":0.3333333333333333,"medium":0.3333333333333333,"large":0.3333333333333333}',
    '{"small":1.0}',
    '{"small":1}',
    '{"small":1.00}',
    '{"small":0.5,"small":0.5}',
    '{"a:0.5":0.5}',
    '{"":1.0}',
    '{"small":1.0,"large":0.0}',
    '{"small":1.5,"large":-0.5}',
    '{"small":"1.0"}',
    '{"small":null}',
)
_VALUE = re.compile(
    r'(?<=":)(?:"(?:[^"\\]|\\.)*"|-?[0-9.]+(?:e[-+]?[0-9]+)?|true|false|null|\{[^{}]*\})'
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CANDIDATES = (
    '{"small":0.25,"large":0.75}',
    '{"small":1.0}',
    '{"small":0.1,"medium":0.2,"large":0.7}',
    '{"small":0.3333333333333333,"medium":0.3333333333333333,"large":0.3333333333333334}',
)
_WORDS = ("text", "grüße", "it's", "a b\n", 'with "quotes"', "{}", "日本語", " x")
_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class OddLines:
    """A source of lines."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._changes: tuple[Callable[[str], str], ...] = (
            *(self._other_value,) * 12,
            self._other_uuid,
            self._blank_added,
            self._byte_added,
            self._byte_lost,
            self._keys_reversed,
            self._key_doubled,
            self._key_lost,
            self._key_added,
            self._two_in_one,
            self._cut,
            self._more_around,
            self._spelled_anew,
        )

    def line(self) -> bytes:
        """Return one line: half of them as a hook spells it."""
        text = self.event().to_line().decode()
        for _ in range(self._chance.choice((0, 0, 0, 1, 1, 1, 2))):
            text = self._chance.choice(self._changes)(text)
        line = text.encode("utf-8", "surrogatepass").replace(b"\n", b"")
        return self._odd_bytes(line) if self._chance.random() < 0.004 else line

    def event(self) -> Event:
        """Return a valid event of any kind."""
        chance = self._chance
        cls = chance.choice([*EVENT_TYPES.values(), InvalidEvent])
        return cls.model_validate(
            {
                name: self._valid(name)
                for name, field in cls.model_fields.items()
                if name != "event_type" and (field.is_required() or chance.random() < 0.7)
            }
        )

    def with_odd_values(self, kind: str) -> Iterator[str]:
        """Yield lines of one kind, each with one odd value in the place of a good one."""
        cls = EVENT_TYPES[kind]
        values = {name: self._valid(name) for name in cls.model_fields if name != "event_type"}
        text = cls.model_validate(values).to_line().decode()
        for place in _VALUE.finditer(text):
            for odd in (*NUMBERS, *TEXTS, *OBJECTS, *(f'"{time}"' for time in TIMES)):
                yield text[: place.start()] + odd + text[place.end() :]

    def _valid(self, name: str) -> Any:
        chance = self._chance
        if name == "candidates":
            return json.loads(chance.choice(_CANDIDATES))
        if name == "metadata":
            flat = {"branch": "main", "run": chance.randrange(100)}
            return chance.choice((flat, flat, {}, {"nested": flat}, {"ratio": chance.random()}))
        if name.endswith("_id") and name not in ("pool_id", "user_id", "import_id"):
            return UUID(int=chance.getrandbits(chance.choice((3, 128))))
        if name.endswith("_at") or name == "timestamp":
            return _NOON + timedelta(seconds=chance.choice((0, 1, 0.5, 86400 * chance.random())))
        if name.endswith("_hash"):
            return f"{chance.getrandbits(256):064x}"
        made: Any = {
            "schema_version": lambda: 1,
            "timestamp_source": lambda: "captured",
            "duration_source": lambda: "measured",
            "embedding": lambda: [chance.random() for _ in range(384)],
            "repos_used_in": lambda: ["acme/api", "acme/web"],
            "success": lambda: chance.random() < 0.5,
            "user_accepted": lambda: chance.random() < 0.5,
            "project_maturity": lambda: chance.choice(("new", "stable", "mature")),
            "strictness_level": lambda: chance.choice(("lenient", "standard", "strict")),
        }.get(name)
        if made:
            return made()
        if name.endswith(("_count", "_tokens", "_score", "attempt", "rating")):
            return chance.randrange(1, 6)
        if name.endswith(("_confidence", "propensity", "_rate", "_threshold")):
            return chance.choice((0.5, 1.0, 0.25, chance.random()))
        if name.endswith(("_seconds", "_mb", "_cost", "cost_estimate")):
            return chance.choice((0.0, 0.5, 12.25, 1e-05, 1e9, 100 * chance.random()))
        return chance.choice(
            ("text", "grüße", "it's", "a b\n", 'with "quotes"', "{}", "日本語", " x")
        )

    def _other_value(self, text: str) -> str:
        places = list(_VALUE.finditer(text))
        if not places:
            return text
        place = self._chance.choice(places)
        others: Any = self._chance.choice((NUMBERS, TEXTS, OBJECTS))
        if place[0].startswith('"20'):
            others = [f'"{time}"' for time in TIMES]
        elif place[0].startswith("{"):
            others = OBJECTS
        elif place[0][0] in "-0123456789":
            others = NUMBERS
        return text[: place.start()] + self._chance.choice(others) + text[place.end() :]

    def _other_uuid(self, text: str) -> str:
        spell = self._chance.choice(
            (
                str.upper,
                lambda uuid: "{" + uuid + "}",
                lambda uuid: uuid.replace("-", ""),
                lambda uuid: "urn:uuid:" + uuid,
                lambda uuid: uuid[:-1],
                lambda uuid: uuid[:-1] + "g",
            )
        )
        return _UUID.sub(lambda match: spell(match[0]), text, count=self._chance.choice((1, 2)))

    def _blank_added(self, text: str) -> str:
        at = self._chance.choice([0, len(text), text.find(":") + 1, text.find(",") + 1])
        return text[:at] + self._chance.choice((" ", "\t", "\r", "\x0b", "\u00a0")) + text[at:]

    def _byte_added(self, text: str) -> str:
        at = self._chance.randrange(len(text) + 1)
        return text[:at] + self._chance.choice('0}{,":\\ae.') + text[at:]

    def _byte_lost(self, text: str) -> str:
        at = self._chance.randrange(len(text) + 1)
        return text[:at] + text[at + 1 :]

    def _keys_reversed(self, text: str) -> str:
        values = _parsed(text)
        return _spelled(dict(reversed(values.items()))) if values else text

    def _key_doubled(self, text: str) -> str:
        values = _parsed(text)
        if not values:
            return text
        name = self._chance.choice(list(values))
        more = f'"{name}":{json.dumps(values[name], ensure_ascii=False)}'
        return (
            text[:-1] + "," + more + "}"
            if self._chance.random() < 0.5
            else "{" + more + "," + text[1:]
        )

    def _key_lost(self, text: str) -> str:
        values = _parsed(text)
        if values:
            values.pop(self._chance.choice(list(values)))
        return _spelled(values) if values else text

    def _key_added(self, text: str) -> str:
        return text[:-1] + ',"unknown":' + self._chance.choice(("1", "null")) + "}"

    def _two_in_one(self, text: str) -> str:
        return text + self._chance.choice(("", ",", " ")) + self.event().to_line().decode()

    def _cut(self, text: str) -> str:
        cut = text[: self._chance.randrange(len(text) + 1)]
        return cut if self._chance.random() < 0.5 else cut + text

    def _more_around(self, text: str) -> str:
        before, after = self._chance.choice(
            (
                ("\ufeff", ""),
                ("[", "]"),
                ("", "x"),
                ("", "//"),
                ('"', '"'),
                ("", " {}"),
                ("null", ""),
            )
        )
        return before + text + after

    def _spelled_anew(self, text: str) -> str:
        values = _parsed(text)
        return json.dumps(values, ensure_ascii=True) if values else text

    def _odd_bytes(self, line: bytes) -> bytes:
        at = self._chance.randrange(len(line) + 1)
        odd = (b"\0", b"\1", b"\r", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\n\n")
        long = b'"' + b"y" * self._chance.choice((262_000, 262_200, 1_100_000)) + b'"'
        return line[:at] + self._chance.choice((*odd, long)) + line[at:]


def _parsed(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _spelled(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)
