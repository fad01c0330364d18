"""Secrets in command lines, SQL, logins and the addresses of databases: what stands before them.

google-re2 runs the pattern, in time linear in the text.
"""

from __future__ import annotations

import re

_QUOTED = r"(?:\\*\"(?P<secret__{0}>[^\"\n]+)\"|\\*'(?P<secret__{1}>(?:[^'\n]|'')+)')"
# Commands, and the flag behind which they take a password; `docker`, `helm`, `oc` and others
# take one at their `login`.
_FLAGS = {
    "-p": r"sshpass|login|mongo[a-z]*",
    "-P": r"sqlcmd|unzip|zip",
    "-w": r"ldap[a-z]+",
    "-a": r"redis-cli|valkey-cli",
    "-k": r"openssl",
}
_GLUED = r"(?:mysql|mariadb)[\w-]*|7z[a-z]*"
_CURL = r"curl|wget|https?|xh"
_CURL_USER = r"(?:-[A-Za-z]*[uUa]|--user|--proxy-user|--auth)"
# Between the words of a command, in a list of them too: `["curl", "-u", "…"]`.
_APART = r"[\s\"',]"
_WORDS = rf"\b[^\n|;&]*?{_APART}"
_BREAK = r"(?:\s|\\+[nrt])+"
_LOGIN = rf"(?:(?i:login|account|user){_BREAK}\S+{_BREAK})"
_ORACLE = r"(?:jdbc:oracle:\w+:|\bsqlplus\s(?:[^\n|;]*?\s)?[\"']?)"

COMMAND = "|".join(
    (
        r"(?i:identified\s+(?:with\s+\S+\s+)?(?:by|as)"
        r"|\bpass(?:word|wd|phrase|code)(?:\s+is|\s+for\s+\S+?\s*(?:=|:|\bis|\bto))?)\s+"
        + _QUOTED.format(1, 2),
        r"\b(?i:(?:password|passphrase|passcode|(?:api|access|secret) (?:key|token))"
        r"(?: for \S+?(?: ?:| is)| is)|(?:with|using)(?: the)? (?:password|passphrase))"
        r"\s+(?P<secret__made_3>[^\s\"']+)",
        r"(?i:\buser\s+\S+\s+identified\s+by)\s+(?P<secret__3>[^\s\"']+)",
        rf"\b(?:machine{_BREAK}\S+|default){_BREAK}{_LOGIN}*(?i:password){_BREAK}(?P<secret__4>\S+)",
        rf"\blogin{_BREAK}\S+{_BREAK}password{_BREAK}(?P<secret__made_1>\S+)",
        rf"\b(?:{_CURL}){_WORDS}{_CURL_USER}[\s\"',=]*[^\s:\"',]*:(?P<secret__5>[^\s\"']+)",
        rf"\b(?:{_CURL}){_WORDS}(?:-b|--cookie)[\s=]*"
        r"(?:[\"'](?P<secret__6>[^\"'\n=]+=[^\"'\n]+)|(?P<secret__7>[^\s\"'=]+=[^\s\"']+))",
        r"\bsmbclient\s[^\n|;]*?-U[\s=]*[\"']?[^\s%\"']+%(?P<secret__8>[^\s\"']+)",
        r"\bauth\s*=\s*\(\s*[\"'][^\"'\n]*[\"']\s*,\s*" + _QUOTED.format(9, 10),
        *(
            rf"\b(?:{commands}){_WORDS}{flag}[\s\"',=]*(?P<secret__flag{place}>[^\s\"',=-][^\s\"']*)"
            for place, (flag, commands) in enumerate(_FLAGS.items())
        ),
        rf"\b(?:{_GLUED}){_WORDS}-p(?:[\"']?(?P<secret__11>[^\s\"'-][^\s\"']+)"
        r"|[\s\"',]+(?P<secret__made_2>[^\s\"',-][^\s\"']+))",
        rf"{_ORACLE}[\w$#]+/(?P<secret__12>[^\s@\"']+)",
        r"[^\s:/@\"'=]+:(?P<secret__13>[^\s@\"']+)@(?:tcp|unix)\(",
        # A line of .pgpass: host, port, database, user, password.
        r"(?:^|[\s\"'])[\w.*-]+:(?:[1-9][0-9]{3,4}|\*):[A-Za-z_*][\w*-]*:[A-Za-z_*][\w.*-]*"
        r":(?P<secret__14>[^\s\"']+)",
        r"[?&](?:sig|[Xx]-[Aa]mz-[Ss]ignature|[Xx]-[Aa]mz-[Ss]ecurity-[Tt]oken|X-Goog-Signature)"
        r"=(?P<secret__15>[A-Za-z0-9%+/=_-]{16,})",
        # A name after its value; before it, the search for assigned values finds them.
        r"(?i:value|val|content)\\*[\"']?\s*[:=]\s*[bu]?\\*[\"'](?P<secret__16>[^\"'\n]+?)\\*[\"']\s*,\s*"
        r"\\*[\"']?(?i:name|key|header|field|variable)\\*[\"']?\s*[:=]\s*[bu]?\\*[\"'][A-Za-z0-9_.-]*"
        r"(?i:passw|passphrase|secret|credential|api[_-]?key|token|authorization|cookie)[A-Za-z0-9_.-]*"
        r"\\*[\"']",
    )
)
"""Where a password follows a command's flag, a word of SQL or a login."""

COMMAND_HINT = (
    r"(?i:identified|passw|passphrase|passcode|(?:key|token) (?:is|for))"
    r"|(?i:value|val|content)\\*[\"']?(?:[ ]|\\[nrt])*[:=]"
    r"|auth[ \\]*=|curl|wget|https?[ \\\"',]|xh[ \\\"',]|sshpass|mysql|mariadb"
    r"|redis-cli|valkey-cli|sqlcmd|smbclient|jdbc:oracle|sqlplus|@(?:tcp|unix)\("
    r"|(?:mongo|7z|openssl)[a-z]*[ \\\"',]|(?:zip|ldap[a-z]+)[ \\\"',]+-"
    r"|login[ \\\"',]+(?:[^ \"-][^ \"]*[ \\\"',]+)?-"
    r"|:(?:[1-9][0-9]{3,4}|\*):[A-Za-z_*]"
    r"|[?&](?:sig|(?i:x-amz|x-goog)-)"
)
"""What a line of JSON contains wherever `COMMAND` matches in one of its texts."""

_TAKERS = {flag: re.compile(rf"(?:.*/)?(?:{names})") for flag, names in _FLAGS.items()}
_GLUERS = re.compile(rf"(?:.*/)?(?:{_GLUED})")
_CURLS = re.compile(rf"(?:.*/)?(?:{_CURL})")
_USER = re.compile(_CURL_USER)


def secret_arguments(items: list[str]) -> set[int]:
    """Return the places of a command's words that are secret, as behind `sshpass -p`."""
    places: set[int] = set()
    flags = {
        flag for flag, taker in _TAKERS.items() if any(taker.fullmatch(item) for item in items)
    }
    has_glued = any(_GLUERS.fullmatch(item) for item in items)
    has_user = any(_CURLS.fullmatch(item) for item in items)
    for place, item in enumerate(items[1:], 1):
        before = items[place - 1]
        is_glued = has_glued and item.startswith("-p") and len(item) > 2
        is_user = has_user and ":" in item and _USER.fullmatch(before) is not None
        if is_glued or is_user or (before in flags and not item.startswith("-")):
            places.add(place)
    return places
