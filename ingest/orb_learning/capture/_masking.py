"""Privacy: no secret, no over-long text and, if the host wishes so, no description is written.

Every event's line is searched once for what a secret would have to contain. That is one pass of
pydantic's own regular-expression engine over the whole line, a microsecond or two; only an event
that it stops is looked into text by text. Both engines take time linear in the text, whatever
the text says.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from orb_learning._types import folded_user, pseudonym
from orb_learning.capture._names import is_secret_key, value_keys, value_places
from orb_learning.capture._search import searcher
from orb_learning.capture._secrets import masks, may_hide_a_secret
from orb_learning.events import Event

E = TypeVar("E", bound=Event)

MAX_TEXT_BYTES = 8 * 1024
"""Longest free text that is kept; what is cut off leaves its length and hash in the metadata."""

CUT_TEXTS = "cut_texts"
"""The metadata key under which cut texts' lengths (bytes) and hashes (SHA-256) are kept."""

_MARGIN = 4 * 1024
_WITHHELD = "[withheld]"
_MAX_PATH = 200
_SENTENCE = 3  # spaces
# An event that is masked must stay one: these fields take a few words only.
_WORDS = frozenset(
    {
        "event_type",
        "duration_source",
        "project_maturity",
        "strictness_level",
        "timestamp_source",
        "task_hash",
        "user_hash",
        "import_hash",
    }
)


_is_hash = searcher("^sha256:[0-9a-f]{64}$")


class Masker:
    """Takes out of events what must not be written."""

    def __init__(
        self,
        rule: Callable[[str], str] | None = None,
        *,
        hash_descriptions: bool = False,
    ) -> None:
        """Make a masker.

        Args:
            rule: the host's own rule: takes any text and returns what may be written. If it
                raises, or returns no text, the text is withheld.
            hash_descriptions: write only the hash of task descriptions and prompts.
        """
        self._rule = rule
        self._within = threading.local()
        self._hash_descriptions = hash_descriptions
        self._looks_at_all = rule is not None or hash_descriptions
        self._masks: list[tuple[Callable[[str], bool], Callable[[str], str]]] | None = None

    def has_work(self, line: bytes) -> bool:
        """Tell whether an event with this line must pass `masked` before it is written."""
        return self._looks_at_all or len(line) > MAX_TEXT_BYTES or may_hide_a_secret(line)

    def masked(self, event: E) -> E:
        """Return the event without what must not be written, the same one if nothing must go."""
        cut: dict[str, Any] = {}
        changed: dict[str, Any] = {}
        for name, value in event:
            if value is None or name in _WORDS or isinstance(value, Enum):
                continue
            kept = self._field(name, value, cut)
            if kept is not value:
                changed[name] = kept
        if cut:
            metadata = changed.get("metadata", event.metadata) or {}
            changed["metadata"] = {**metadata, CUT_TEXTS: cut}
        return event.model_copy(update=changed) if changed else event

    def text(self, text: str) -> str:
        """Return a text with every secret replaced by its label, the same one if it has none."""
        kept = self._by_the_rule(self._without_secrets(text))
        return text if kept == text else kept

    def value(
        self,
        value: Any,
        cut: dict[str, Any] | None = None,
        path: str = "",
        *,
        is_secret: bool = False,
    ) -> Any:
        """Return a JSON value with every text in it masked, the same one if nothing must go.

        Args:
            value: any JSON value.
            cut: takes the length and the hash of every text that is cut; without it none is.
            path: what stands before the names under which `cut` takes them.
            is_secret: whether it stands under the name of a secret, so that all its texts go;
                numbers are none.
        """
        if isinstance(value, str):
            if is_secret:
                return "[secret]" if value not in ("", "[secret]") else value
            return self.text(value) if cut is None else self._cut(value, path, cut)
        if isinstance(value, Mapping):
            items: dict[str, Any] = {}
            is_same = True
            values = value_keys(value)
            for key, item in value.items():
                name = _free(self.text(key), items)
                items[name] = self._item(
                    key, item, cut, f"{path}.{name}"[:_MAX_PATH], is_secret or key in values
                )
                is_same = is_same and name == key and items[name] is item
            return value if is_same else items
        if isinstance(value, list):
            places = value_places(value)
            found = [
                self.value(item, cut, f"{path}[{number}]", is_secret=is_secret or number in places)
                for number, item in enumerate(value)
            ]
            is_same = all(kept is item for kept, item in zip(found, value, strict=True))
            return value if is_same else found
        return value

    def _field(self, name: str, value: Any, cut: dict[str, Any]) -> Any:
        if name == "user_id":
            return self._user(value)
        if name == "payload":
            return self._payload(value)
        if name == "task_description" and self._hash_descriptions:
            return _hashed(value)
        if name == "candidates":  # probabilities, whatever a tier is called
            return value if (kept := _renamed(value, self.text)) == value else kept
        return self.value(value, cut, name)

    def _user(self, user_id: str) -> str:
        is_secret = self.text(user_id) != user_id or len(user_id) > MAX_TEXT_BYTES
        return pseudonym(folded_user(user_id)) if is_secret else user_id

    def _item(
        self, key: str, item: Any, cut: dict[str, Any] | None, path: str, is_secret: bool
    ) -> Any:
        if key == "user_id" and isinstance(item, str):
            return self._user(item)  # by which all of a user's can be erased, wherever it stands
        # A sentence as a key says nothing of what a container under it holds.
        is_name = isinstance(item, str) or key.count(" ") < _SENTENCE
        is_secret = is_secret or (is_name and is_secret_key(key))
        is_description = self._hash_descriptions and not is_secret and _is_description(key)
        if is_description and isinstance(item, str | list | dict):
            return _hashed(item)
        return self.value(item, cut, path, is_secret=is_secret)

    def _payload(self, payload: str) -> str:
        """Mask what an import refused: a whole row of JSON, or the beginning of one."""
        try:
            given = json.loads(payload)
            kept = self.value(given)
        except (ValueError, RecursionError):
            return _hashed(payload) if self._hash_descriptions else self.text(payload)
        return payload if kept is given else json.dumps(kept, ensure_ascii=False)

    def _cut(self, text: str, path: str, cut: dict[str, Any]) -> str:
        is_seen_whole = len(text) <= MAX_TEXT_BYTES + _MARGIN
        kept = self.text(text) if is_seen_whole else self._beginning(text)
        if max(len(text), len(kept)) * 4 > MAX_TEXT_BYTES:
            spelled = kept.encode()
            if len(spelled) > MAX_TEXT_BYTES or not is_seen_whole:
                kept = spelled[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
                given = text.encode()
                cut[path] = {"bytes": len(given), "sha256": hashlib.sha256(given).hexdigest()}
        return kept

    def _beginning(self, text: str) -> str:
        """Return a long text's beginning, masked; what follows costs nothing.

        A secret that lies across the cut is seen whole thanks to the margin. At the margin's own
        end may lie half a secret that no pattern knows, so the margin goes, even if the labels
        before it are so short that there were room for it.
        """
        seen = self._without_secrets(text[: MAX_TEXT_BYTES + _MARGIN])
        if len(seen) <= _MARGIN:
            return _WITHHELD
        kept = self._by_the_rule(seen)
        return kept[:-_MARGIN] if len(kept) > _MARGIN else kept

    def _without_secrets(self, text: str) -> str:
        line = json.dumps(text, ensure_ascii=False)  # the hints are for texts within a line
        if may_hide_a_secret(line):
            if self._masks is None:
                self._masks = masks()
            for may_match, mask in self._masks:
                if may_match(line) and (masked := mask(text)) != text:
                    text = masked
                    line = json.dumps(text, ensure_ascii=False)  # a label may be a name
        return text

    def _by_the_rule(self, text: str) -> str:
        if self._rule is None or not text:
            return text
        if getattr(self._within, "rule", False):
            return _WITHHELD  # of an event that the rule itself captures
        self._within.rule = True
        try:
            return str(self._rule(text).encode("utf-8", "backslashreplace"), "utf-8") or _WITHHELD
        except Exception:
            return _WITHHELD
        finally:
            self._within.rule = False


def _is_description(key: str) -> bool:
    return key.lower().endswith(("description", "prompt", "prompts"))


def _renamed(items: Mapping[str, Any], text: Callable[[str], str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, item in items.items():
        renamed[_free(text(key), renamed)] = item
    return renamed


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Return a name that is not taken: two keys may have come to read the same."""
    number = len(taken)
    free = name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _hashed(item: Any) -> str:
    text = item if isinstance(item, str) else json.dumps(item, sort_keys=True, ensure_ascii=False)
    # An event may be captured again, and is then the same event.
    return text if _is_hash(text) else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
