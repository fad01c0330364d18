"""Values that a text assigns to the name of a secret, however it spells that.

google-re2 finds the names in time linear in the text. What follows a name is looked at from
there on, with expressions that never go back, up to a bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from orb_learning.capture._names import (
    NAME_HINT,
    is_secret_key,
    is_secret_name,
    is_surely_secret,
    word_list,
    words_of,
)

if TYPE_CHECKING:
    from re import Match, Pattern

_LONGEST = 4096
_LONGEST_WORD = 200
_WORD = "passw|passphrase|passcode|secret|credential|token|cookie|auth|jwt|pwd|pass|key"
_NAME = (
    r"(?P<name{n}>(?:(?i:api|access|secret|private|auth|refresh|account|signing|encryption"
    r"|client|shared|user|db|database)[ ])*"
    rf"[A-Za-z0-9_.-]*(?i:{_WORD})[A-Za-z0-9_.-]*)"
)
# A text within a text has backslashes before its quotes; one within HTML or a URL an entity.
_QUOTE = r"(?:\\*[\"'`]|&quot;|&#3[49];|&apos;|%2[27])"
_SPACE = r"(?:\s|\\+[nrt]|%20|%0[AaDd]|&nbsp;)"
_EQUALS = (
    r"(?:=>|:=|->|[:=]=?|%3[AaDd]|&#(?:58|61|[xX]3[AaDd]);|&(?:equals|colon);|\\+u003[AaDd]"
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
    rf"(?:(?:^|[\s\"'=(\[,])--?|\b(?:ENV|setx|setenv|(?i:config|secret|env) set) )"
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

_ENDS = "(?i:token|cookies?|auth|authorization|jwt|pwd|pass|keys?)[_. 0-9-]*"
HINT = (
    rf"{NAME_HINT}|{_ENDS}(?:[\"'`\\\])%&><:=,;/}}|*]|(?:\\[nrt]|[ ])+(?i:v|content))"
    rf"|(?:<|&lt;|-|ENV |setx |setenv | (?i:set) )[A-Za-z0-9_.:-]*{_ENDS}[ ]"
)
"""What a line of JSON contains wherever a text assigns a value to a secret's name."""

_SKIPPED = re.compile(
    r"(?:[|>][+-]?(?=\s*\n)|\*\*(?=\s))?(?:\s|\\+[nrt\n])*(?:<!\[CDATA\[\s*|!!\w+[ ]+(?=\S))?"
    r"(?:(?:Some|Just|Ok|Secret|SecretStr|SecretBytes|String|str|bytes)\(|[\[({]\s*(?=\\*[\"'])"
    r"|\(?ConvertTo-SecureString\s+(?:-String\s+)?)?"
    r"(?:\\*[\"'](?:value|val)\\*[\"']\s*:\s*)?"
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
_LINE = re.compile(r"(?:[^\n\r\"'`\\]|\\(?![nr\"'])){1,4096}")
_FURTHER = re.compile(r"\\*[\"'`]\s*,\s*[bu]?(\\*[\"'`])")
_INNER = re.compile(r"(?:[^<&\]]|&(?!lt;)|\](?!\]>)){1,4096}")
_CLOSER = re.compile(r"\s*,?\s*[)\]]")

_LABEL = re.compile(r"\[[a-z]+(?:-[a-z]+)?(?:\]|$)")
_PLACEHOLDER = re.compile(
    r"\W*"
    r"|[*xX.…•]+"
    r"|<[^<>]*>?"
    r"|\$(?:env:)?[({]*[A-Z_][A-Z0-9_]*[)}]*"
    r"|\$\{?\{.*|\$\(.*|\{\{.*|%\(?\w*\)?[sdrv]?|%[A-Z_]+%"
    r"|\{[\w.!:]*\}?"
    r"|lambda\b.*",
    re.DOTALL,
)
# What a program says instead of a value: a call, or a look into what it holds.
_CODE = re.compile(
    r"[A-Za-z_][\w.:]*\(.*"
    r"|(?:await|new|not|f|r)$"
    r"|[A-Za-z_]\w*(?:\.\w+)*\[[\"'\w].*"
    r"|(?:self|this|os|process|config|cfg|settings|args|opts|options|env|ctx|context|cls|request"
    r"|req|secrets|vars|var|params|props|state|data|local|module|github|steps|inputs|Values"
    r"|user|app|client|session|credentials?)(?:\??\.\w+)+",
    re.DOTALL,
)
_COUNT = re.compile(r"[0-9][0-9.,_]*(?:[%kKMs]|ms|min)?")
_SAYINGS = word_list(
    """
    a all already also always an and any are as at bad be been before boolean but bytes can
    cannot changed char check class could default denied described did digest disabled do does
    empty enabled error exists expired expires failed fails failure false field file for
    forgotten found from function generated get got had has hash have header hidden how i if
    ignored import in include incorrect int integer invalid is it its length like list locked
    masked match matches may mismatch missing must my n/a na never new nil no nobody none not
    null number object of off ok omit on one only optional or our out panic passed placeholder
    please provided raise read redacted refreshed refused rejected removed required reset
    return revoked rotate rotated rotation s said same see set should skipped so still str
    string supplied text that the their then there these they this throw to too true type
    undefined unknown unset unused updated used uses valid value varchar void was we were what
    when where which who why will with without works wrong yes you your
    """
)
_NOTHING = word_list("none null nil undefined true false required optional str string bytes yes no")
_WORDS_END = re.compile(r"\\+[nrt]|[,;:.!?)\]}|]")


class _Head(NamedTuple):
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
            if not _is_innocent(found, head, value.is_quoted):
                yield value.begin, value.end
                done = value.end


def _head(match: Match[str]) -> _Head:
    groups = match.groupdict()
    is_quoted = groups.pop("quoted") is not None
    kind, name = next((kind, name) for kind, name in groups.items() if name)
    form = kind.removeprefix("name").strip("_0123456789")
    return _Head(name, form, is_quoted, match.group(), match.end())


def _values(text: str, head: _Head) -> Iterator[_Value]:
    """Yield the value that follows a name, or each of a list of them in quotes."""
    value = _value(text, head)
    while value is not None:
        yield value
        further = _FURTHER.match(text, value.end) if value.is_listed else None
        following = _in_quotes(text, further[1], further.end()) if further else None
        value = following and following._replace(is_listed=True)


def _value(text: str, head: _Head) -> _Value | None:
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


def _is_innocent(found: str, head: _Head, is_quoted: bool) -> bool:
    if not is_quoted and len(found) > _LONGEST_WORD:
        return False
    word = found if is_quoted else _WORDS_END.split(found, maxsplit=1)[0]
    is_name = head.form in ("flag", "pair") and (found.startswith("-") or is_secret_key(found))
    is_header = head.name.lower().endswith(("authorization", "cookie"))
    if (
        _PLACEHOLDER.fullmatch(found.split(maxsplit=1)[0] if is_header else found)
        or is_name
        or word.lower() in (_NOTHING if head.said.endswith("=") else _SAYINGS)
        or (found[0] == "$" and is_secret_key(found.strip("${}")))
        # Of a list of names, or of tags.
        or (head.form == "pair" and head.said.startswith("[") and found.isalpha())
        or (not is_quoted and _is_of_the_program(found, head))
    ):
        return True
    is_sure = (
        is_surely_secret(head.name)
        or head.form in ("named", "element", "flag")
        or (is_quoted and (head.is_quoted or is_header))
    )
    return not is_sure and not _looks_made(found, head.name)


def _is_of_the_program(found: str, head: _Head) -> bool:
    """Tell whether a bare value is a name, a call or a count, and no secret itself."""
    name = head.name.rpartition(".")[2]
    *path, last = found.split(".")
    return (
        found == name
        or (head.is_quoted and words_of(name).endswith(words_of(found)))
        or (path and all(part.isidentifier() for part in path) and is_secret_name(last))
        or _CODE.fullmatch(found) is not None
        or (
            name.lower().endswith(("token", "pass", "authorization"))
            and _COUNT.fullmatch(found) is not None
        )
        or ("\n" in head.said and found.isalpha())  # "Password:" at a line's end
    )


def _looks_made(value: str, name: str) -> bool:
    """Tell whether a value is no word, number or path, after a name that is often no secret's."""
    return not value.startswith(("/", "~", ".", "C:")) and (
        name.lower() == "pwd"
        or (
            len(value) >= 6
            and any(sign.isdigit() for sign in value)
            and any(sign.isalpha() for sign in value)
        )
    )
