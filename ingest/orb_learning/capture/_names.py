"""Which names are those of secrets: of a metadata key, of a variable or a field within a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from orb_learning.capture._commands import secret_arguments


def word_list(text: str) -> frozenset[str]:
    """Return the words of a list that is written as a text."""
    return frozenset(text.split())


# A word begins where letters change from small to capital, as in `dbPassword` and `APIKey`.
_BOUNDARY = re.compile(r"[_\-.\s]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_SECRET = re.compile(
    r"(?:^| )(?:secret(?!ar|i[ov]|ely)|passw(?!ordless)|passphrase|passcode|credential"
    r"|pass (?:word|wd|phrase|code))"
    r"|password(?!less)|passwd|passphrase"  # also within a word, as in PGPASSWORD
    r"|(?:(?:token|secret)|(?:^| )(?:cookies?|auth|authorization|jwt|pwd|pass|pw))(?: [0-9]+)*$"
    r"|(?:db|ftp|key|ldap|my|root|smtp|sql|ssl|store|user)(?:pass|pwd|pw)(?: [0-9]+)*$"
    r"|(?:api|access|private|secret|account|auth|signing|encryption|shared) ?keys?(?: [0-9]+)*$"
)
_VAGUE = re.compile(r"^(?:token|cookies?|auth|jwt|pwd|pass|pw|secret)$|(?:[netyl]|word|rase)s$")
# The cookies of sessions; no session of an agent is named like that.
_SESSION = re.compile(
    r"(?:^| )(?:(?:php|j)?sess(?:ion)?id|asp net session ?id|connect sid|x session id)$"
)
_KEY = re.compile(r"(?:^|(?:^| )(?P<before>[^ ]+) )key(?: [0-9]+)*$")

# Whose key opens nothing: `cache_key`, `primary_key`.
_HARMLESS = word_list(
    """
    agent aggregate aggregation alternate answer any archive arrow artifact asset attempt
    attribute backspace batch blob block board bucket build bundle business cache candidate
    category cell channel checksum child claim cluster clustering color column command
    component composite compound config content context control conversation correlation ctrl
    customer data dataset date dedup dedupe deduplication default delete dict digest dim
    dimension dist distribution doc document down duplicate each element end enter entity entry
    env epic escape event every experiment external extra fact feature field file filter
    fingerprint first foreign function group grouping hash home hot i18n idempotence
    idempotency idempotent image index internal invalid issue item jira job join json kafka
    label lang language last layout left list locale lock lookup major map measure media memo
    memoization merge message meta metric migration minor missing model name natural next node
    number object option order ordering org organization page param parameter parent part
    partial partition path pipeline pkg pool position previous primary priority product project
    prompt property public query queue range react record redis ref reference registry repo
    repository request required resource rest return right route routing row run s3 same schema
    search secondary segment sequence setting shard sheet shift sort sorting space span sprint
    stage state status step story stream style subject surrogate symbol tab table tag task team
    template tenant theme thread ticket tier time topic trace translation tree type ui unique
    unknown up variant version widget worker workflow yaml
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
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "k"))

NAME_HINT = r"(?i:passw|passphrase|passcode|secret|credential)"
"""What most names of secrets contain, and little else does."""
KEY_HINT = (
    rf"{NAME_HINT}|\"kty|(?i:pass[_. -]+(?:word|wd|phrase|code)"
    r"|(?:token|cookies?|auth|authorization|jwt|pwd|pass|pw|keys?)[_. 0-9-]*\":)"
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
    if last in _ABOUT or (last == "key" and not before):
        return _SESSION.search(words) is not None
    return is_secret_key(name) or _SESSION.search(words) is not None


def is_surely_secret(name: str) -> bool:
    """Tell whether a name says by itself that a secret follows, as `token` and `auth` do not."""
    words = words_of(name)
    if _SESSION.search(words):
        return True
    return _SECRET.search(words) is not None and not _VAGUE.search(words)


def value_keys(items: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys whose values are secret because a sibling says so.

    As in `{"name": "api_key", "value": …}`, and in a JSON web key.
    """
    if "kty" in items:
        return _PRIVATE
    if any(
        key.lower() in _NAMING and isinstance(item, str) and is_secret_name(item)
        for key, item in items.items()
    ):
        return frozenset(key for key in items if key.lower() in _VALUES)
    return frozenset()


def value_places(items: list[Any]) -> set[int]:
    """Return the places of a list that are secret because the item before says so.

    As in `["--password", …]`, in a list of a name and its value, and in a command.
    """
    places = secret_arguments([item if isinstance(item, str) else "" for item in items])
    for place, (before, item) in enumerate(pairwise(items), 1):
        if not isinstance(before, str) or not isinstance(item, str) or not is_secret_name(before):
            continue
        is_pair = len(items) == 2 and is_surely_secret(before) and not item.isalpha()
        if (before.startswith("-") or is_pair) and not item.startswith("-"):
            places.add(place)
    return places
