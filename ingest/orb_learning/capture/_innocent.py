"""What stands where a secret would and is none: a placeholder, a word, a call, a check's remark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orb_learning.capture._names import (
    is_secret_key,
    is_secret_name,
    is_surely_secret,
    word_list,
    words_of,
)

if TYPE_CHECKING:
    from orb_learning.capture._assigned import Head

_LONGEST_WORD = 200

_PLACEHOLDER = re.compile(
    r"\W*"
    r"|[*xX.…•]+"
    r"|<[^<>]*>?"
    r"|\$(?:env:)?[({]*[A-Z_][A-Z0-9_]*[)}]*"
    r"|\$\{?\{.*|\$\(.*|\{\{.*|%\(?\w*\)?[sdrv]?|%[A-Z_]+%"
    r"|\{[\w.!:]*\}?|\[[A-Z]+\]?"
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
# What a check says of a field, in words alone: "This field is required."
_REMARK = re.compile(
    r"(?=.*\b(?i:required|characters|blank|invalid|too [a-z]+|at (?:least|most)|(?:do|does|did) not"
    r"|(?:must|may|should|cannot|can't) (?:be|not|have|contain|match|include))\b)"
    r"(?:[A-Za-z]+(?:['-][a-z]+)?|[0-9]{1,3})"
    r"(?:[,:;]? (?:[A-Za-z]+(?:['-][a-z]+)?|[0-9]{1,3}))+[.!]?"
)
# What is no secret although its name is `token`: a word, or the name of a class with a capital.
_LEXEME = re.compile(
    r"[ \u0120\u2581#@]*[A-Za-z]?[a-z]{0,19}"
    r"|(?:[A-Z]{1,6}[a-z]{0,19}[0-9]{0,2}){0,4}[A-Z][a-z]{3,19}"
)
_COUNT = re.compile(r"[0-9][0-9.,_]*(?:[%kKMs]|ms|min)?")
_SAYINGS = word_list(
    """
    a all already also always an and any are as at bad be been before blank boolean but bytes
    can cannot changed char check class could default denied described did digest disabled do
    does empty enabled ensure enter error exists expired expires failed fails failure false
    field file for forgotten found from function generated get got had has hash have header
    hidden how i if ignored import in include incorrect int integer invalid is it its length
    like list locked masked match matches may mismatch missing must my n/a na never new nil no
    nobody none not null number object of off ok omit on one only optional or our out panic
    passed placeholder please provided raise read redacted refreshed refused rejected removed
    required reset return revoked rotate rotated rotation s said same see set short should
    skipped so still str string supplied text that the their then there these they this throw
    to too true type undefined unknown unset unused updated used uses valid value varchar void
    was we were what when where which who why will with without works wrong yes you your
    """
)
_NOTHING = word_list("none null nil undefined true false required optional str string bytes yes no")
_WORDS_END = re.compile(r"\\+[nrt]|[,;:.!?)\]}|]")


def is_innocent(found: str, head: Head, is_quoted: bool) -> bool:
    if not is_quoted and len(found) > _LONGEST_WORD:
        return False
    word = found if is_quoted else _WORDS_END.split(found, maxsplit=1)[0]
    is_name = head.form in ("flag", "pair") and (found.startswith("-") or is_secret_key(found))
    is_header = head.name.lower().endswith(("authorization", "cookie"))
    if (
        _PLACEHOLDER.fullmatch(found.split(maxsplit=1)[0] if is_header else found)
        or is_name
        or (not head.form and words_of(head.name) == "token" and _LEXEME.fullmatch(found))
        or (is_quoted and is_remark(found))
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


def _is_of_the_program(found: str, head: Head) -> bool:
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


def is_remark(found: str) -> bool:
    """Tell whether a value is what a check says of its field, in words and small numbers."""
    return len(found) <= _LONGEST_WORD and _REMARK.fullmatch(found) is not None


def is_placeholder(value: str) -> bool:
    """Tell whether a text stands where a value will: `${PASSWORD}`, `***`, `%s`."""
    return _PLACEHOLDER.fullmatch(value) is not None


def looks_odd(value: str) -> bool:
    """Tell whether a value is none of the words, numbers, types and paths that columns have."""
    return (
        len(value) >= 6
        and any(sign.isalpha() for sign in value)
        and any(sign.isdigit() or sign in "!@#$%^&*+?~" for sign in value)
        and not value.startswith(("/", "~", "."))
        and "://" not in value
        and not is_placeholder(value)
        and not _CODE.fullmatch(value)
    )


def _looks_made(value: str, name: str) -> bool:
    """Tell whether a value is no word, number or path, after a name that is often no secret's."""
    return not value.startswith(("/", "~", ".", "C:")) and (
        name.lower() in ("pwd", "pw")
        or (
            len(value) >= 6
            and any(sign.isdigit() for sign in value)
            and any(sign.isalpha() for sign in value)
        )
    )
