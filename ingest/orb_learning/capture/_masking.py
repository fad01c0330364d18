"""Privacy: no secret, no over-long text and, if the host wishes so, no description is written.

Every event's line is searched once for what a secret would have to contain. That is one pass of
pydantic's own regular-expression engine over the whole line, a microsecond or two; only an event
that it stops is looked into text by text. Both engines take time linear in the text, whatever
the text says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic_core import SchemaValidator, core_schema

from orb_learning.events import Event

if TYPE_CHECKING:
    import re

E = TypeVar("E", bound=Event)

MAX_TEXT_BYTES = 8 * 1024
"""Longest free text that is kept; what is cut off leaves its length and hash in the metadata."""

CUT_TEXTS = "cut_texts"
"""The metadata key under which cut texts' lengths (bytes) and hashes (SHA-256) are kept."""

_MARGIN = 512
_DESCRIPTIONS = ("task_description", "description", "prompt")
_WITHHELD = "[withheld]"


class Secret(NamedTuple):
    """One family of secrets.

    Attributes:
        hint: what a line of JSON contains wherever the pattern matches in one of its texts.
        pattern: its named groups are the secrets; a group's name is the label that takes its
            place, in brackets.
    """

    hint: str
    pattern: str


_API_KEY = "|".join(
    (
        r"sk-[A-Za-z0-9_-]{16,}",
        r"[rps]k_(?:live|test)_[A-Za-z0-9]{10,}",
        r"AIza[A-Za-z0-9_-]{30,}",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    )
)
_ACCESS_TOKEN = "|".join(
    (
        r"gh[pousr]_[A-Za-z0-9]{16,}",
        r"github_pat_[A-Za-z0-9_]{16,}",
        r"glpat-[A-Za-z0-9_-]{16,}",
        r"xox[a-z]-[A-Za-z0-9-]{10,}",
        r"npm_[A-Za-z0-9]{30,}",
        r"pypi-[A-Za-z0-9_-]{30,}",
        r"hf_[A-Za-z0-9]{20,}",
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    )
)
_NAMES = r"passw(?:or)?d|passphrase|secret|api[_-]?key|(?:access|auth|refresh)[_-]?token"

SECRETS = (
    Secret(
        "PRIVATE KEY",
        r"(?s)(?P<private_key>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"
        r".*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$))",
    ),
    Secret(r"://[^/\s]*@", r"[A-Za-z][A-Za-z0-9+.-]*://(?P<url_credentials>[^\s/@]+)@"),
    Secret("(?i:bearer)", r"(?i:\bbearer)\s+(?P<bearer_token>[A-Za-z0-9._~+/=-]{12,})"),
    # What stands in a word of its own: the tail of another word, as in `risk-`, starts none.
    Secret(
        f"{_API_KEY}|{_ACCESS_TOKEN}",
        f"(?:^|[^A-Za-z0-9])(?:(?P<api_key>{_API_KEY})|(?P<access_token>{_ACCESS_TOKEN}))",
    ),
    Secret(
        f"(?i:{_NAMES}|authorization)",
        rf"(?i:(?:{_NAMES})[\"']?\s*[:=]|authorization[\"']?\s*[:=]\s*[\"']?(?:basic|token)\s)"
        r"\s*[\"']?(?P<secret>[^\s\"',;&]{4,})",
    ),
    Secret("@", r"(?P<email>[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)"),
)
"""The families of secrets, in the order in which a text is searched for them."""

SECRET_KEYS = frozenset(
    {
        *("password", "passwd", "pwd", "passphrase", "secret", "clientsecret", "credentials"),
        *("token", "accesstoken", "authtoken", "refreshtoken", "apikey", "privatekey"),
        *("authorization", "proxyauthorization", "cookie", "setcookie"),
    }
)
"""Metadata keys, in lower case without separators, whose values are secret whatever they are."""

_KEY_HINT = (
    r"(?i:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|authorization|cookie"
    r"|private[_-]?key|credentials)[\"]:"
)


def _searcher(pattern: str) -> Callable[[str | bytes], bool]:
    # Rust's engine, which pydantic brings along; `isinstance_python` neither raises nor copies.
    return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python


_may_hide_a_secret = _searcher("|".join([*(secret.hint for secret in SECRETS), _KEY_HINT]))


def pseudonym(user_id: str) -> str:
    """Return what stands for a user id that is an e-mail address or holds another secret.

    It is the same for the same user id, so that one user's feedback stays together and can be
    erased together.
    """
    return f"user-{_digest(user_id)[:16]}"


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
        self._hash_descriptions = hash_descriptions
        self._looks_at_all = rule is not None or hash_descriptions
        self._patterns: list[tuple[Callable[[str], bool], re.Pattern[str]]] | None = None

    def has_work(self, line: bytes) -> bool:
        """Tell whether an event with this line must pass `masked` before it is written."""
        return self._looks_at_all or len(line) > MAX_TEXT_BYTES or _may_hide_a_secret(line)

    def masked(self, event: E) -> E:
        """Return the event without what must not be written, the same one if nothing must go."""
        cut: dict[str, Any] = {}
        changed: dict[str, Any] = {}
        for name, value in event:
            if value is None or name == "event_type" or isinstance(value, Enum):
                continue
            kept = self._field(name, value, cut)
            if kept is not value:
                changed[name] = kept
        if cut:
            metadata = changed.get("metadata", event.metadata) or {}
            changed["metadata"] = {**metadata, CUT_TEXTS: cut}
        return event.model_copy(update=changed) if changed else event

    def text(self, text: str) -> str:
        """Return a text with every secret replaced by its label."""
        if not text:
            return text
        if _may_hide_a_secret(text):
            for may_match, pattern in self._compiled():
                if may_match(text):
                    text = pattern.sub(_with_label, text)
        return self._by_the_rule(text) if self._rule is not None else text

    def value(self, value: Any, cut: dict[str, Any] | None = None, path: str = "") -> Any:
        """Return a JSON value with every text in it masked, the same one if nothing must go."""
        cut = {} if cut is None else cut
        if isinstance(value, str):
            return self._cut(value, path, cut)
        if isinstance(value, Mapping):
            items = {
                self.text(key): self._item(key, item, cut, path) for key, item in value.items()
            }
            is_same = len(items) == len(value) and all(
                key in value and item is value[key] for key, item in items.items()
            )
            return value if is_same else items
        if isinstance(value, list):
            found = [
                self.value(item, cut, f"{path}[{number}]") for number, item in enumerate(value)
            ]
            is_same = all(kept is item for kept, item in zip(found, value, strict=True))
            return value if is_same else found
        return value

    def _field(self, name: str, value: Any, cut: dict[str, Any]) -> Any:
        if name == "user_id":
            is_secret = self.text(value) != value or len(value) > MAX_TEXT_BYTES
            return pseudonym(value) if is_secret else value
        if name in _DESCRIPTIONS and self._hash_descriptions:
            return _hashed(value)
        if name == "payload":
            return self.text(value)  # of a refused event, which is cut already
        return self.value(value, cut, name)

    def _item(self, key: str, item: Any, cut: dict[str, Any], path: str) -> Any:
        if _is_secret_key(key) and item not in (None, "", True, False):
            return "[secret]"
        if key in _DESCRIPTIONS and self._hash_descriptions and isinstance(item, str):
            return _hashed(item)
        return self.value(item, cut, f"{path}.{key}")

    def _cut(self, text: str, path: str, cut: dict[str, Any]) -> str:
        # A secret that lies across the cut is seen whole, and what follows costs nothing.
        window = text[: MAX_TEXT_BYTES + _MARGIN] if len(text) > MAX_TEXT_BYTES else text
        kept = self.text(window)
        if len(text) * 4 > MAX_TEXT_BYTES:
            spelled = text.encode()
            if len(spelled) > MAX_TEXT_BYTES:
                kept = kept.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
                cut[self.text(path[:200])] = {
                    "bytes": len(spelled),
                    "sha256": hashlib.sha256(spelled).hexdigest(),
                }
        return text if kept == text else kept

    def _by_the_rule(self, text: str) -> str:
        try:
            kept = self._rule(text) if self._rule is not None else text
            return str(kept.encode("utf-8", "backslashreplace"), "utf-8") or _WITHHELD
        except Exception:
            return _WITHHELD

    def _compiled(self) -> list[tuple[Callable[[str], bool], re.Pattern[str]]]:
        if self._patterns is None:
            import re2

            self._patterns = [
                (_searcher(secret.hint), re2.compile(secret.pattern)) for secret in SECRETS
            ]
        return self._patterns


def _with_label(match: re.Match[str]) -> str:
    found = match.group()
    label, secret = next((name, text) for name, text in match.groupdict().items() if text)
    if secret.startswith("git@") or (label == "bearer_token" and secret.isalpha()):
        return found  # the user that every git host has; an English word
    begin = match.start(match.re.groupindex[label]) - match.start()
    return f"{found[:begin]}[{label.replace('_', '-')}]{found[begin + len(secret) :]}"


def _is_secret_key(key: str) -> bool:
    return key.lower().replace("_", "").replace("-", "") in SECRET_KEYS


def _hashed(text: str) -> str:
    return f"sha256:{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
