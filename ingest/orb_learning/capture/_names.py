"""Which names are those of secrets: of a metadata key, of a variable or a field within a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any


def word_list(text: str) -> frozenset[str]:
    """Return the words of a list that is written as a text."""
    return frozenset(text.split())


# A word begins where letters change from small to capital, as in `dbPassword` and `APIKey`.
_BOUNDARY = re.compile(r"[_\-.\s]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_SECRET = re.compile(
    r"(?:^| )(?:secret|passw|passphrase|passcode|credential|pass (?:word|wd|phrase|code))"
    r"|password|passwd|passphrase"  # also within a word, as in PGPASSWORD
    r"|(?:(?:token|secret)|(?:^| )(?:cookies?|auth|authorization|jwt|pwd|pass))(?: [0-9]+)*$"
    r"|(?:api|access|private|secret|account|auth|signing|encryption|shared) ?keys?(?: [0-9]+)*$"
)
_VAGUE = re.compile(r"^(?:token|cookies?|auth|jwt|pwd|pass|secret)$|(?:[netyl]|word|rase)s$")
_KEY = re.compile(r"(?:^|(?:^| )(?P<before>[^ ]+) )key(?: [0-9]+)*$")

# Whose key opens nothing: `cache_key`, `primary_key`.
_HARMLESS = word_list(
    """
    aggregate aggregation any arrow attribute backspace batch bucket business cache candidate
    category checksum child column composite config content context control correlation ctrl
     dedup dedupe deduplication default delete dict digest down duplicate each end enter
    entry env  escape event every experiment extra feature field file filter
    fingerprint first foreign function group grouping hash home  hot i18n idempotence
    idempotency idempotent index invalid issue item jira job join json kafka label lang
    language last left list locale lock lookup major map memo memoization merge message meta
    metric minor missing name natural next node number object option order ordering page parent
    part partial partition path pipeline pkg previous primary product project public query
    queue range react record redis registry repo repository request required return right route
    routing row run s3 same search secondary setting shard shift sort sorting span stage state
    step surrogate tab table tag task tenant  ticket topic trace translation tree type ui
    unique unknown up variant version widget workflow yaml
    """
)

# Within a text it stands for what is told about a secret: `--password-stdin`, `token_count`.
_ABOUT = word_list(
    """
    age arn budget changed class count counts cpp cs css dir directory env error expired
    expires expiry field file files form format go hash header hint html id ids index input
    invalid java js json jsx kt label len length limit limits link manager max md min missing
    name names page path paths php policy prompt py rb ref required reset rotation rs scan
    scanner scanning screen sh size sql stdin store strength swift test tests toml ts tsx ttl
    txt type types url usage used validation validator version yaml yml
    """
)

_NAMING = frozenset(("name", "key", "header", "field", "variable", "k", "id"))
_VALUES = frozenset(("value", "val", "v", "content"))

NAME_HINT = r"(?i:passw|passphrase|passcode|secret|credential)"
"""What most names of secrets contain, and little else does."""
KEY_HINT = (
    rf"{NAME_HINT}|(?i:pass[_. -]+(?:word|wd|phrase|code)"
    r"|(?:token|cookies?|auth|authorization|jwt|pwd|pass|keys?)[_. 0-9-]*\":)"
)
"""What a line of JSON contains wherever one of its keys is a secret's name."""


def words_of(name: str) -> str:
    """Return the words of a name in small letters, a space between two."""
    name = name.replace("[url-credentials]", "")  # a label is no name
    return " ".join(word for word in _BOUNDARY.split(name) if word).casefold()


def is_secret_key(name: str) -> bool:
    """Tell whether what stands under this key is a secret."""
    words = words_of(name)
    if _SECRET.search(words):
        return True
    found = _KEY.search(words)
    return found is not None and found["before"] not in _HARMLESS


def is_secret_name(name: str) -> bool:
    """Tell whether a name within a text is a secret's: a `key` of nothing is none there."""
    words = words_of(name.strip("_-. "))
    *before, last = words.split() or [""]
    return last not in _ABOUT and (last != "key" or bool(before)) and is_secret_key(name)


def is_surely_secret(name: str) -> bool:
    """Tell whether a name says by itself that a secret follows, as `token` and `auth` do not."""
    words = words_of(name)
    return _SECRET.search(words) is not None and not _VAGUE.search(words)


def value_keys(items: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys whose values are secret because a sibling says so.

    As in `{"name": "api_key", "value": …}`.
    """
    if any(
        key.lower() in _NAMING and isinstance(item, str) and is_secret_name(item)
        for key, item in items.items()
    ):
        return frozenset(key for key in items if key.lower() in _VALUES)
    return frozenset()


def value_places(items: list[Any]) -> set[int]:
    """Return the places of a list that are secret because the item before says so.

    As in `["--password", …]`, and in a list of a name and its value.
    """
    places = set()
    for place, (before, item) in enumerate(pairwise(items), 1):
        if not isinstance(before, str) or not isinstance(item, str) or not is_secret_name(before):
            continue
        is_pair = len(items) == 2 and is_surely_secret(before) and not item.isalpha()
        if (before.startswith("-") or is_pair) and not item.startswith("-"):
            places.add(place)
    return places
