"""What secrets look like: the one table of them, for the search of a line and for the masking.

The hints are run by pydantic's own regular-expression engine, the patterns by google-re2: both
take time linear in the text, whatever the text says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import SchemaValidator, core_schema

if TYPE_CHECKING:
    import re

_LONGEST_WORD = 20


class Secret(NamedTuple):
    """One family of secrets.

    Attributes:
        hint: what a line of JSON contains wherever the pattern matches in one of its texts.
        pattern: its named groups are the secrets; a group's name, up to a double underscore, is
            the label that takes its place, in brackets.
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
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    )
)
_NAMES = (
    r"passw(?:or)?d|passphrase|secret(?:[_-]?access)?(?:[_-]?key)?|api[_-]?key"
    r"|(?:access|auth|refresh)[_-]?token"
)
# A JSON text inside another text has backslashes before its quotes.
_QUOTE = r"\\*[\"']"

SECRETS = (
    Secret(
        "PRIVATE KEY",
        r"(?s)(?P<private_key>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
        r".*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$)"
        r"|[A-Za-z0-9+/=\\\s]*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)",
    ),
    # Up to the last @ before the path: a password may hold another one.
    Secret("@", r"[A-Za-z][A-Za-z0-9+.-]*://(?P<url_credentials>[^\s/]+)@"),
    Secret("(?i:bearer)", r"(?i:\bbearer)\s+(?P<bearer_token>[A-Za-z0-9._~+/=-]{12,})"),
    # What stands in a word of its own: the tail of another word, as in `risk-`, starts none.
    Secret(
        f"{_API_KEY}|{_ACCESS_TOKEN}",
        f"(?:^|[^A-Za-z0-9])(?:(?P<api_key>{_API_KEY})|(?P<access_token>{_ACCESS_TOKEN}))",
    ),
    Secret(
        f"(?i:{_NAMES}|authorization)",
        rf"(?i:(?:{_NAMES})(?:{_QUOTE})?\s*[:=]>?"
        rf"|authorization(?:{_QUOTE})?\s*[:=]\s*(?:{_QUOTE})?(?:basic|token)\s)\s*"
        r"(?:[bu]?\\*\"(?P<secret__1>[^\"\n]+)\"|[bu]?\\*'(?P<secret__2>[^'\n]+)'"
        rf"|(?:[bu]?{_QUOTE})?(?P<secret>[^\s\"',;&]{{4,}}))",
    ),
    Secret("@", r"(?P<email>[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+)"),
)
"""The families of secrets, in the order in which a text is searched for them."""

# How a metadata key ends whose value is secret whatever it is, and what it is as a whole.
SENSITIVE_END = (
    r"(?:pass[_-]?word|passwd|pass[_-]?phrase|secret(?:[_-]?access)?(?:[_-]?key)?"
    r"|(?:api|private)[_-]?key|authorization|cookie|credentials"
    r"|(?:access|api|auth|bearer|bot|csrf|hub|id|lab|npm|refresh|session|slack)[_-]?token)"
)
SENSITIVE_KEY = "(?:token|pwd)"


def searcher(pattern: str) -> Callable[[str | bytes], bool]:
    """Return what tells whether a text, or its UTF-8, contains a match."""
    # Rust's engine, which pydantic brings along; `isinstance_python` neither raises nor copies.
    return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python


may_hide_a_secret = searcher(
    "|".join(
        [
            *dict.fromkeys(secret.hint for secret in SECRETS),
            # In a line of JSON; `is_secret_key` is what looks at the key itself.
            rf"(?i:{SENSITIVE_END}|{SENSITIVE_KEY})[_-]*\":",
        ]
    )
)
is_secret_key = searcher(rf"(?i:{SENSITIVE_END}|^[_-]*{SENSITIVE_KEY})[_-]*$")


def with_label(match: re.Match[str]) -> str:
    """Return what a pattern has matched with the secret's label in its place."""
    found = match.group()
    name, secret = next((name, text) for name, text in match.groupdict().items() if text)
    label = name.partition("__")[0]
    if _is_innocent(label, secret):
        return found
    begin = match.start(match.re.groupindex[name]) - match.start()
    return f"{found[:begin]}[{label.replace('_', '-')}]{found[begin + len(secret) :]}"


def _is_innocent(label: str, match: str) -> bool:
    """Tell whether what looks like a secret is something that is written just like one."""
    if label == "url_credentials":
        return match == "git"  # the user that every git host has
    if label == "bearer_token":  # "bearer authentication.": no capitals, no digits
        words = match.replace(".", "-").replace("/", "-").split("-")
        return all(_is_word(word) for word in words if word)
    if label == "email":
        user, _, host = match.partition("@")
        first, second, *_ = host.split(".")
        # A package and its version, "react@18.2.0", or an image of double size, "icon@2x.png".
        is_version = first.removeprefix("v").isdigit() and second.isdigit()
        return user == "git" or is_version or first in ("2x", "3x")
    return False


def _is_word(text: str) -> bool:
    return text.isalpha() and text[1:] == text[1:].lower() and len(text) <= _LONGEST_WORD
