"""Values that a text assigns to the name of a secret, however it spells that.

google-re2 finds the names in time linear in the text. What follows a name is looked at from
there on, with expressions that never go back, up to a bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from orb_learning.capture._innocent import is_innocent
from orb_learning.capture._names import NAME_HINT, is_secret_name
from orb_learning.capture._search import first_group

if TYPE_CHECKING:
    from re import Match, Pattern

_LONGEST = 4096
_WORD = (
    "passw|passphrase|passcode|secret|credential|token|cookie|auth|jwt|pwd|pass|pw|key"
    r"|sess(?:ion)?id|session-id|connect\.sid"
)
_NAME = (
    r"(?P<name{n}>(?:(?i:api|access|secret|private|auth|refresh|account|signing|encryption"
    r"|client|shared|user|db|database)[ ])*"
    rf"[A-Za-z0-9_.-]*(?i:{_WORD})[A-Za-z0-9_.-]*)"
)
# A text within a text has backslashes before its quotes; one within HTML or a URL an entity.
_QUOTE = r"(?:\\*[\"'`]|&quot;|&#3[49];|&apos;|%2[27])"
_SPACE = r"(?:\s|\\+[nrt]|%20|%0[AaDd]|&nbsp;)"
_EQUALS = (
    r"(?:=>|:=|->|[:=]=?|<<[<~-]?|%3[AaDd]|&#(?:58|61|[xX]3[AaDd]);|&(?:equals|colon);|\\+u003[AaDd]"
    r"|\\+x3[AaDd])"
)
# The escape before a name is no part of it: `\npassword`, `%26token`.
_BEFORE = r"(?:\\+[abefnrtv]|\\+x[0-9A-Fa-f]{2}|\\+u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2})?"
# A type before the value, as in `token: str = ` or `api_key: Config.Key = `. Without spaces around
# the sign of equality only a known one: what stands there may be a value that ends in `=`.
_TYPE = (
    r"(?::[ \t]*&?(?:[a-z_]+\.)?(?:str|bytes|[Ss]tring|SecretStr|SecretBytes|Text|Any|Final)"
    r"(?:\[[\w., |]*\])?(?:[ \t]*\|[ \t]*None)?[ \t]*="
    r"|:[ \t]*&?[A-Za-z_][\w.]*(?:\[[\w., |]*\])?(?:[ \t]*\|[ \t]*None)?[ \t]+=[ \t])"
)

_ASSIGNED = (
    rf"{_BEFORE}{_NAME.format(n='')}(?P<quoted>{_QUOTE})?[\])*]*{_SPACE}*"
    rf"(?:{_TYPE}|{_EQUALS}){_SPACE}*"
)
_FLAG = (
    rf"(?:(?:^|[\s\"'=(\[,])--?|\b(?:ENV|setx|setenv|(?i:config|configure|secret|env) set) )"
    rf"{_NAME.format(n='_flag')}(?:{_QUOTE}\s*,|\s)\s*"
)
_PAIR = rf"[(\[]\s*[bu]?{_QUOTE}{_NAME.format(n='_pair')}{_QUOTE}\s*,\s*[bu]?"
_NAMED = (
    rf"(?i:name|key|header|field|variable|k|id){_QUOTE}?\s*[:=]\s*[bu]?{_QUOTE}?"
    rf"{_NAME.format(n='_named')}{_QUOTE}?(?:[\s,;{{}}/-]|\\+[nrt])*"
    rf"{_QUOTE}?(?i:value|val|v|content){_QUOTE}?\s*[:=]\s*"
)
_ELEMENT = (
    rf"<key>{_NAME.format(n='_element1')}</key>\s*<string>"
    rf"|(?:<|&lt;)(?:\w+:)?{_NAME.format(n='_element2')}(?:\s[^<>]*)?(?:>|&gt;)\s*"
)
HEADS = "|".join((_NAMED, _PAIR, _FLAG, _ELEMENT, _ASSIGNED))
"""Where a value of a secret's name may begin: right after a match."""

_ENDS = (
    "(?:(?i:token|cookies?|auth|authorization|jwt|pwd|pass|pw|keys?)"
    # And not `sessionId`, which nearly every event of some hosts has.
    r"|sess(?:ion)?id|SESS(?:ION)?ID|NET_SessionId|ession-[Ii]d|connect\.sid)[_. 0-9-]*"
)
HINT = (
    rf"{NAME_HINT}|{_ENDS}(?:[\"'`\\\])%&><:=,;/}}|│┃*]|[ ]{{2}}|(?:\\[nrt]|[ ])+(?i:v|content))"
    rf"|(?:<|&lt;|-|ENV |setx |setenv | (?i:set) )[A-Za-z0-9_.:-]*{_ENDS}[ ]"
)
"""What a line of JSON contains wherever a text assigns a value to a secret's name."""

_SKIPPED = re.compile(
    r"(?:[|>][+-]?(?=\s*\n)|\*\*(?=\s))?(?:\s|\\+[nrt\n])*(?:<!\[CDATA\[\s*|!!\w+[ ]+(?=\S))?"
    r"(?:(?:Some|Just|Ok|Secret|SecretStr|SecretBytes|String|str|bytes)\("
    r"|(?i:crypt|encrypt|digest|hashbytes|md5|password|pgp_sym_encrypt|sha[0-9]*)\((?=\\*[\"'])|[\[({]\s*(?=\\*[\"'])"
    r"|\(?ConvertTo-SecureString\s+(?:-String\s+)?)?"
    r"(?:\\*[\"'](?:[a-z]{0,20}[vV]alue|val|S)\\*[\"']\s*:\s*)?"
    r"(?:[bBuUrRfF]{1,2}(?=\\*[\"']))?"
)
_OPENING = re.compile(r"\"\"\"|'''|\\*[\"'`]|&quot;|&#3[49];|&apos;|%2[27]")
_WITHIN = {
    '"': re.compile(r"(?:[^\"\\]|\\.|\"\"){0,4096}", re.DOTALL),
    "'": re.compile(r"(?:[^'\\]|\\.|''){0,4096}", re.DOTALL),
    "`": re.compile(r"[^`]{0,4096}"),
}
# Up to the next parameter of a URL, as in `?token=a&x=b`.
_NEXT = r"(?:[&,;]|&amp;|%26)[A-Za-z_][\w.\[\]-]{0,100}(?:=|%3[Dd])"
_BARE = re.compile(
    rf"(?:[^\s\"'`<&,;%]|(?!{_NEXT})[&,;%]|[\"'`][A-Za-z0-9]|<(?![/A-Za-z])){{1,4096}}"
)
_SCHEME = re.compile(
    r"(?i:basic|bearer|token|digest|negotiate|ntlm|hawk|apikey|key|bot|oauth|jwt|splunk|sso-key"
    r"|aws4-hmac-sha256)(?:\s|%20|\+|\\+[nrt])+(?=\S)"
)
_LINE = re.compile(
    r"(?:=\"[^\"\n]{0,4096}\"|='[^'\n]{0,4096}'|[^\n\r\"'`\\]|\\(?![nr\"'])){1,4096}"
)
_SHIFT = re.compile(r"[^<]<<[-~]?\s*$")
_HEREDOC = re.compile(
    r"[ \t]{0,8}(?:\$\([ ]?cat[ ]?)?(?P<sign><<[-~]?)?[ ]?"
    r"\\?[\"']?(?P<end>\w{1,100})\\?[\"']?[ \t]{0,8}(?:\r?\n|\\n)"
)
_FURTHER = re.compile(r"\\*[\"'`]\s*,\s*[bu]?(\\*[\"'`])")
_INNER = re.compile(r"(?:[^<&\]]|&(?!lt;)|\](?!\]>)){1,4096}")
_CLOSER = re.compile(r"\s*,?\s*[)\]]")

_LABEL = re.compile(r"\[[a-z]+(?:-[a-z]+)?(?:\]|$)")


class Head(NamedTuple):
    """The name of a secret, and where its value may begin.

    Attributes:
        name: as the text spells it.
        form: `named`, `pair`, `flag`, `element` or, where a sign of equality follows, nothing.
        is_quoted: whether the name stands in quotes.
        said: the text from the name to the value.
        end: where the value may begin.
    """

    name: str
    form: str
    is_quoted: bool
    said: str
    end: int


class _Value(NamedTuple):
    begin: int
    end: int
    is_quoted: bool
    is_listed: bool = False


def assigned_secrets(heads: Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    """Yield where the values of secrets' names begin and end in a text, from left to right."""
    done = 0
    for match in heads.finditer(text):
        if match.end() < done:
            continue
        head = _head(match)
        if not is_secret_name(head.name):
            continue
        for value in _values(text, head):
            found = text[value.begin : value.end]
            if value.begin < done or not found.strip() or _LABEL.match(found):
                continue
            if not is_innocent(found, head, value.is_quoted):
                yield value.begin, value.end
                done = value.end


def _head(match: Match[str]) -> Head:
    kind, place = first_group(match)
    form = kind.removeprefix("name").strip("_0123456789")
    is_quoted = not form and match["quoted"] is not None
    return Head(match[place], form, is_quoted, match.group(), match.end())


def _values(text: str, head: Head) -> Iterator[_Value]:
    """Yield the value that follows a name, or each of a list of them in quotes."""
    value = _value(text, head)
    while value is not None:
        yield value
        further = _FURTHER.match(text, value.end) if value.is_listed else None
        following = _in_quotes(text, further[1], further.end()) if further else None
        value = following and following._replace(is_listed=True)


def _value(text: str, head: Head) -> _Value | None:
    document = _here(text, head)
    if document is not None or _SHIFT.search(head.said):  # or `cout << token << …`
        return document
    skipped = _SKIPPED.match(text, head.end)
    begin = skipped.end() if skipped else head.end
    opening = _OPENING.match(text, begin)
    if opening is not None:
        value = _in_quotes(text, opening.group(), opening.end())
        if value is not None:
            if head.form == "pair" and not _CLOSER.match(text, value.end + len(opening.group())):
                return None
            value = value._replace(is_listed="[" in text[head.end : begin])
            scheme = _SCHEME.match(text, value.begin)
            is_header = head.name.lower().endswith("authorization") and scheme
            return value._replace(begin=scheme.end()) if scheme and is_header else value
        begin = opening.end()
    if head.form == "pair":
        return None
    if head.form == "element":
        inner = _INNER.match(text, begin)
        is_closed = inner and text.startswith(("</", "&lt;/", "]]>"), inner.end())
        return _Value(begin, inner.end(), True) if inner and is_closed else None
    return _of_a_header(text, begin, head.name.lower()) or _bare(text, begin)


def _here(text: str, head: Head) -> _Value | None:
    """Return a here-document, up to the word that ends it or as far as one is looked at."""
    opening = _HEREDOC.match(text, head.end)
    if opening is None or not (opening["sign"] or _SHIFT.search(head.said)):
        return None
    seen = text[opening.end() : opening.end() + _LONGEST]
    end = re.search(rf"(?:^|\n|\\n)[ \t]*{opening['end']}\b", seen)
    return _Value(opening.end(), opening.end() + (end.start() if end else len(seen)), True)


def _in_quotes(text: str, opening: str, begin: int) -> _Value | None:
    within = _WITHIN.get(opening)
    if within is None:
        end = text.find(opening, begin, begin + _LONGEST)
    else:
        found = within.match(text, begin)
        end = found.end() if found and text.startswith(opening, found.end()) else -1
    if end < 0:
        # Never closed, as where a text was cut: the rest of the line.
        end = text.find("\n", begin, begin + _LONGEST)
        end = min(len(text), begin + _LONGEST) if end < 0 else end
    # A quote may end a text, as in `print("token: ", x)`; what follows is no value.
    is_value = text[begin:end].strip() and text[begin] not in " ,)+"
    return _Value(begin, end, True) if is_value else None


def _of_a_header(text: str, begin: int, name: str) -> _Value | None:
    """Return the value of a header, which may hold spaces: a scheme's, or cookies."""
    if not name.endswith(("authorization", "cookie")):
        return None
    scheme = _SCHEME.match(text, begin)
    line = _LINE.match(text, scheme.end() if scheme else begin)
    if line and (scheme or ("=" in line.group() and name.endswith("cookie"))):
        return _Value(line.start(), line.start() + len(line.group().rstrip()), True)
    return None


def _bare(text: str, begin: int) -> _Value | None:
    bare = _BARE.match(text, begin)
    if bare is None:
        return None
    found = bare.group().rstrip(",;.)]}>\\")
    return _Value(begin, begin + len(found), False) if found else None
