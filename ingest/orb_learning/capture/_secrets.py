"""What secrets look like: the one table of them, for the search of a line and for the masking.

The hints are run by pydantic's own regular-expression engine, the patterns by google-re2: both
take time linear in the text, whatever the text says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from orb_learning.capture._assigned import HEADS, HINT, assigned_secrets
from orb_learning.capture._commands import COMMAND, COMMAND_HINT
from orb_learning.capture._innocent import is_remark, looks_odd
from orb_learning.capture._names import KEY_HINT, word_list
from orb_learning.capture._search import first_group, searcher
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
# Quotes end a URL where what follows them ends a text.
_INNER_QUOTE = r"[\"'][^\s@/\\\"',:;}\])>]"
_IN_URL = rf"[^\s/\\\"']|{_INNER_QUOTE}"
# A password may hold slashes, but no port does: `bob:p/w@host`, `host:80/@scope`.
_WITH_SLASH = (
    rf"[^\s/:@\[\"'<>,]*:[0-9]*(?:[^\s/@0-9\"']|{_INNER_QUOTE})(?:[^\s@\"']|{_INNER_QUOTE})*"
)
_BLANK = r"(?:[ +]|%20)"
_KEY_KIND = rf"(?:[A-Z0-9]+{_BLANK})*(?:PRIVATE{_BLANK}KEY(?:{_BLANK}BLOCK)?|OpenVPN Static key V1)"
_AT = r"(?:@|%(?:25)?40|&#64;|&commat;|\\+u0040)"

SECRETS = (
    Secret(
        rf"PRIVATE{_BLANK}KEY|Static key V1|Private-Lines|LS0tLS1CRUdJTi|kty"
        r"|(?i:age-(?:secret|plugin)-)",
        rf"(?s)(?P<private_key>-{{4,5}} ?BEGIN{_BLANK}{_KEY_KIND} ?-{{4,5}}"
        rf".*?(?:-{{4,5}} ?END{_BLANK}{_KEY_KIND} ?-{{4,5}}|$)"
        rf"|[A-Za-z0-9+/=\\\s]*-{{4,5}} ?END{_BLANK}{_KEY_KIND} ?-{{4,5}})"
        # PuTTY's; in Base64 as a whole; age's; in a JSON web key.
        r"|Private-Lines: *[0-9]+(?:\s|\\[nr])+"
        r"(?P<private_key__2>(?:[A-Za-z0-9+/=]+(?:\s|\\[nr]|$)+)+)"
        r"|(?P<private_key__3>LS0tLS1CRUdJTi"
        r"(?:BQUklW|BSU0Eg|BFQyBQ|BEU0Eg|BPUEVO|BFTkNSW)[A-Za-z0-9+/=]+)"
        r"|(?P<private_key__4>(?i:age-(?:secret-key|plugin-[a-z0-9]+)-(?:pq-)?1[a-z0-9]{20,}))"
        r"|\\*[\"'](?:d|p|q|dp|dq|qi|k)\\*[\"']\s*:\s*\\*[\"'](?P<private_key__5>[A-Za-z0-9_-]{20,})",
    ),
    # Up to the last @ before the path: a password may hold another one.
    Secret(
        "@|(?i:%40|&#64;)",
        rf"[A-Za-z][A-Za-z0-9+.-]*{_SLASHES}(?:(?P<url_credentials>(?:{_IN_URL})+)@"
        rf"|(?P<url_credentials__2>{_WITH_SLASH})@"
        r"|(?P<url_credentials__3>[^\s/\\\"'<>@]+?)(?:%40|%2540|&#64;))",
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
    Secret(COMMAND_HINT, COMMAND),
    Secret(HINT, HEADS, is_head=True),
    # With the path before it and the one behind its colon, which say that it is no address.
    Secret(
        "@|%(?:25)?40|&#64;|&commat;|u0040",
        rf"(?i:mailto:)(?P<email__sure>[^\s\"'<>?&;)\]\\]*{_AT}[^\s\"'<>?&;)\]\\]+)"
        rf"|(?:[\p{{L}}\p{{N}}._-]*/)*(?P<email>[\p{{L}}\p{{N}}._%+-]+{_AT}"
        r"[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+)(?::[\p{L}\p{N}~._-]*/)?",
    ),
)
"""The families of secrets, in the order in which a text is searched for them."""


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
    name, place = first_group(match)
    label, secret = name.partition("__")[0], match[place]
    if _is_innocent(name, secret, found):
        return found
    begin = match.start(place) - match.start()
    return f"{found[:begin]}[{label.replace('_', '-')}]{found[begin + len(secret) :]}"


def _is_innocent(name: str, match: str, found: str) -> bool:
    """Tell whether what looks like a secret is something that is written just like one."""
    if name == "email":
        return _is_no_address(found)
    if name.startswith("secret__made") and not looks_odd(match):
        return True
    check = _INNOCENT.get(name.partition("__")[0])
    return check is not None and check(match)


def _is_no_login(match: str) -> bool:
    # The user that every git host has; and what lies behind the host, or its port.
    behind = r"(?i)%(?:25)?(?:2f|3f)|^[\w.-]+:[0-9]{2,5}\?[\w.-]+="
    return match == "git" or re.search(behind, match) is not None


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
    return (
        re.fullmatch(r"[0-9.:]+|[?;]+|%s|:\w+", match) is not None
        or match.startswith(("$", "[", "<"))
        or is_remark(match)
    )


def _is_no_address(found: str) -> bool:
    address, colon, _ = found.partition(":")
    path, _, address = address.rpartition("/")
    user, host = re.split(_AT, address)[-2:]
    *names, last = host.lower().split(".")
    # A package and its version, "react@18.2.0".
    is_version = names[0].removeprefix("v").isdigit() and [*names, last][1].isdigit()
    while names and last in _ENDINGS:
        last = names.pop()
    # A branch, "acme/api@feature.login"; what begins with a slash may be the path of a URL.
    is_branch = path and not path.startswith("/") and len(last) > 2 and last not in _DOMAINS
    is_domain = last.isalpha() or last.startswith("xn--") or last.partition("-")[0] in _DOMAINS
    is_host = names and len(last) > 1 and is_domain
    return user == "git" or bool(colon or is_version or is_branch) or not is_host


def _is_word(text: str) -> bool:
    return text.isalpha() and text[1:] == text[1:].lower() and len(text) <= _LONGEST_WORD


# How no domain ends: files of programs and units of systemd.
_ENDINGS = word_list(
    """
    avif bak bz2 cfg class conf cpp css csv dll exe gif go gz html ini ipynb jar java jpeg jpg js
    json jsx kt lock log map mjs mount mp4 parquet patch pdf png socket service slice sql svg
    swift tar target tgz timer toml ts tsx txt wasm webp whl xml xz yaml yml
    """
)
_DOMAINS = word_list(
    """
    app biz cloud com dev edu email gov info int mil name net online org pro shop site tech xyz
    """
)
_INNOCENT: dict[str, Callable[[str], bool]] = {
    "url_credentials": _is_no_login,
    "bearer_token": _is_no_bearer,
    "api_key": _is_no_key,
    "access_token": _is_no_token,
    "secret": _is_no_password,
}
