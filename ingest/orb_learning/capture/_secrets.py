"""What secrets look like: the one table of them, for the search of a line and for the masking.

The hints are run by pydantic's own regular-expression engine, the patterns by google-re2: both
take time linear in the text, whatever the text says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import SchemaValidator, core_schema

from orb_learning.capture._assigned import HEADS, HINT, assigned_secrets
from orb_learning.capture._names import KEY_HINT
from orb_learning.capture._tables import table_secrets

if TYPE_CHECKING:
    from re import Match, Pattern

_LONGEST_WORD = 20


class Secret(NamedTuple):
    """One family of secrets.

    Attributes:
        hint: what a line of JSON contains wherever the pattern matches in one of its texts.
        pattern: its named groups are the secrets; a group's name, up to a double underscore, is
            the label that takes its place, in brackets.
        is_head: whether the pattern ends where a secret begins, and names no group for it.
    """

    hint: str
    pattern: str
    is_head: bool = False


def _beginnings(pattern: str) -> str:
    """Return how the alternatives of a pattern begin, up to the first repeated class.

    The shorter a hint is, the faster is the search of every line.
    """
    return re.sub(r"\[[^\]]*\]\{[0-9]+,?[0-9]*\}[^|]*", "", pattern)


# Forms that are nothing else wherever they stand: glued to a word or to an escape before them.
_CERTAIN_KEY = "|".join(
    (
        r"sk-(?:ant-[a-z]+[0-9]{2}|or-v1)-[A-Za-z0-9_-]{12,}",
        r"AIza[A-Za-z0-9_-]{30,}",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}",
        r"(?:whsec|nvapi|pcsk|lsv2_(?:pt|sk))[_-][A-Za-z0-9+/_-]{16,}",
        r"(?:gsk|pplx|tvly|xai)[_-][A-Za-z0-9_-]{20,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"GOCSPX-[A-Za-z0-9_-]{16,}",
    )
)
_CERTAIN_TOKEN = "|".join(
    (
        r"gh[pousr]_[A-Za-z0-9]{16,}",
        r"github_pat_[A-Za-z0-9_]{16,}",
        r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-[A-Za-z0-9_.-]{16,}",
        r"xox[a-z]-[A-Za-z0-9-]{10,}",
        r"xapp-[A-Za-z0-9-]{10,}",
        r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{16,}",
        r"npm_[A-Za-z0-9]{30,}",
        r"pypi-[A-Za-z0-9_-]{30,}",
        r"do[oprt]_v1_[a-f0-9]{32,}",
        r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",
        r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
        r"(?:lin_api|sntrys|glsa|glc|sbp)_[A-Za-z0-9_=+/]{30,}",
        r"ya29\.[A-Za-z0-9_-]{16,}",
        r"hv[bsr]\.[A-Za-z0-9_-]{20,}",
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    )
)
# Forms that the tail of a word may have, as `risk-…` has: they stand in a word of their own.
_KEY = r"(?:csk|sk)-[A-Za-z0-9_-]{16,}|[rps]k_(?:live|test)_[A-Za-z0-9]{10,}"
_TOKEN = "|".join(
    (
        r"hf_[A-Za-z0-9]{20,}",
        r"r8_[A-Za-z0-9]{20,}",
        r"dapi[a-f0-9]{32}",
        r"1//0[A-Za-z0-9_-]{30,}",
        r"s\.[A-Za-z0-9]{24}\b",
    )
)
_TOKEN_HINT = _TOKEN.replace(r"\b", "")  # which costs a search without it nothing
# Where a word begins, in texts within texts too: after `\n`, `\x1b[0m`, `%20`, `&nbsp`.
_EDGE = (
    r"(?:^|[^A-Za-z0-9]|\\[abefnrtv0]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\[0-7]{3}"
    r"|(?:%|%25|=)[0-9A-Fa-f]{2}|\[[0-9;?]*[A-Za-z]|&(?:[a-z]{2,6}|#[0-9]{2,4}|#[xX][0-9A-Fa-f]{2,4}))"
)
_SLASHES = r"(?::(?:\\*/|&#47;|&#x2[Ff];){2}|(?i:%3a%2f%2f|%253a%252f%252f))"
_QUOTED = r"(?:\\*\"(?P<secret__{0}>[^\"\n]+)\"|\\*'(?P<secret__{1}>(?:[^'\n]|'')+)')"
_COMMAND = "|".join(
    (
        r"(?i:identified\s+(?:with\s+\S+\s+)?(?:by|as)|\bpass(?:word|wd|phrase|code)(?:\s+is)?)\s+"
        + _QUOTED.format(1, 2),
        r"\b(?i:login\s+\S+\s+password)\s+(?P<secret__3>\S+)",
        r"\b(?:curl|wget|http|https|xh)\b[^\n|;]*?\s(?:-u|-U|--user|--proxy-user)[ =]?[\"']?"
        r"[^\s:\"']*:(?P<secret__4>[^\s\"']+)",
        r"\bauth\s*=\s*\(\s*[\"'][^\"'\n]*[\"']\s*,\s*" + _QUOTED.format(10, 11),
        r"\bsshpass\s+-p\s*[\"']?(?P<secret__5>[^\s\"']+)",
        r"\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump)\s(?:[^\n|;]*?\s)?-p[\"']?"
        r"(?P<secret__6>[^\s\"'-][^\s\"']+)",
        r"\bredis-cli\s(?:[^\n|;]*?\s)?-a\s+[\"']?(?P<secret__7>[^\s\"']+)",
        r"[?&](?:sig|[Xx]-[Aa]mz-[Ss]ignature|[Xx]-[Aa]mz-[Ss]ecurity-[Tt]oken|X-Goog-Signature)"
        r"=(?P<secret__8>[A-Za-z0-9%+/=_-]{16,})",
        # A name after its value; before it, the search for assigned values finds them.
        r"(?i:value|val|content)\\*[\"']?\s*[:=]\s*[bu]?\\*[\"'](?P<secret__9>[^\"'\n]+?)\\*[\"']\s*,\s*"
        r"\\*[\"']?(?i:name|key|header|field|variable)\\*[\"']?\s*[:=]\s*[bu]?\\*[\"'][A-Za-z0-9_.-]*"
        r"(?i:passw|passphrase|secret|credential|api[_-]?key|token|authorization|cookie)[A-Za-z0-9_.-]*"
        r"\\*[\"']",
    )
)

SECRETS = (
    Secret(
        "PRIVATE KEY",
        r"(?s)(?P<private_key>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
        r".*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$)"
        r"|[A-Za-z0-9+/=\\\s]*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)",
    ),
    # Up to the last @ before the path: a password may hold another one.
    Secret(
        "@|(?i:%40|&#64;)",
        rf"[A-Za-z][A-Za-z0-9+.-]*{_SLASHES}(?:(?P<url_credentials>[^\s/\\]+)@"
        r"|(?P<url_credentials__2>[^\s/\\\"'<>@]+?)(?:%40|%2540|&#64;))",
    ),
    Secret(
        "(?i:bearer)",
        r"(?i:bearer)(?:\s|\\+[nrt]|%20|\+|&nbsp;|:)+(?P<bearer_token>[A-Za-z0-9._~+/=-]{12,})",
    ),
    Secret(
        _beginnings(f"{_CERTAIN_KEY}|{_CERTAIN_TOKEN}"),
        f"(?P<api_key>{_CERTAIN_KEY})|(?P<access_token>{_CERTAIN_TOKEN})",
    ),
    # Those whose mark stands within: of Telegram, of Azure's applications and storage.
    Secret(
        r":AA|8Q~|\+ASt",
        r"(?P<access_token>[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"
        r"|[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}"
        r"|[A-Za-z0-9+/]{70,80}\+ASt[A-Za-z0-9+/]{5,8}={1,2})",
    ),
    Secret(
        f"{_KEY}|{_TOKEN_HINT}",
        f"{_EDGE}(?:(?P<api_key>{_KEY})|(?P<access_token>{_TOKEN}))",
    ),
    Secret(
        r"(?i:identified|passw|passphrase|passcode)"
        r"|(?i:value|val|content)\\*[\"']?(?:[ ]|\\[nrt])*[:=]"
        r"|auth[ \\]*=|curl|wget|https?[ \\]|xh[ \\]|sshpass|mysql|mariadb|redis-cli"
        r"|[?&](?:sig|(?i:x-amz|x-goog)-)",
        _COMMAND,
    ),
    Secret(HINT, HEADS, is_head=True),
    Secret("@", r"(?P<email>[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+)"),
)
"""The families of secrets, in the order in which a text is searched for them."""


def searcher(pattern: str) -> Callable[[str | bytes], bool]:
    """Return what tells whether a text, or its UTF-8, contains a match."""
    # Rust's engine, which pydantic brings along; `isinstance_python` neither raises nor copies.
    return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python


may_hide_a_secret = searcher(
    "|".join([*dict.fromkeys(secret.hint for secret in SECRETS), KEY_HINT])
)


def masks() -> list[tuple[Callable[[str], bool], Callable[[str], str]]]:
    """Return for each family what tells whether a text may hold one, and what masks them."""
    import re2

    found: list[tuple[Callable[[str], bool], Callable[[str], str]]] = []
    for secret in SECRETS:
        pattern = re2.compile(secret.pattern)
        mask = (
            partial(_without_assigned, pattern)
            if secret.is_head
            else partial(pattern.sub, _with_label)
        )
        found.append((searcher(secret.hint), mask))
    return found


def _without_assigned(heads: Pattern[str], text: str) -> str:
    pieces = []
    done = 0
    for begin, end in sorted([*assigned_secrets(heads, text), *table_secrets(text)]):
        pieces += [text[done:begin], "[secret]"] if begin >= done else []
        done = max(done, end)
    return "".join([*pieces, text[done:]]) if pieces else text


def _with_label(match: Match[str]) -> str:
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
    check = _INNOCENT.get(label)
    return check is not None and check(match)


def _is_no_login(match: str) -> bool:
    # The user that every git host has; and what lies behind the host.
    return match == "git" or re.search(r"(?i)%(?:25)?(?:2f|3f)", match) is not None


def _is_no_bearer(match: str) -> bool:
    # "bearer authentication.": no capitals, no digits.
    words = match.replace(".", "-").replace("/", "-").split("-")
    return all(_is_word(word) for word in words if word)


def _is_no_key(match: str) -> bool:
    words = match.split("-")  # "sk-learn-compatible-estimators"
    return len(words) > 2 and all(_is_word(word) for word in words)


def _is_no_token(match: str) -> bool:
    # "s.serializeWithOptionsAndMore" of a program.
    return match.startswith("s.") and not any(sign.isdigit() for sign in match)


def _is_no_password(match: str) -> bool:
    return match.isdigit() or match.startswith(("$", "[", "<")) or " must " in match


def _is_no_address(match: str) -> bool:
    user, _, host = match.partition("@")
    first, second, *_ = host.split(".")
    # A package and its version, "react@18.2.0", or an image of double size, "icon@2x.png".
    is_version = first.removeprefix("v").isdigit() and second.isdigit()
    return user == "git" or is_version or first in ("2x", "3x")


def _is_word(text: str) -> bool:
    return text.isalpha() and text[1:] == text[1:].lower() and len(text) <= _LONGEST_WORD


_INNOCENT: dict[str, Callable[[str], bool]] = {
    "url_credentials": _is_no_login,
    "bearer_token": _is_no_bearer,
    "api_key": _is_no_key,
    "access_token": _is_no_token,
    "secret": _is_no_password,
    "email": _is_no_address,
}
