"""Privacy: what must not be written is not in the spool, and what may be written is unharmed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orb_learning import Telemetry
from orb_learning._types import pseudonym, task_uuid
from orb_learning.capture._masking import CUT_TEXTS, MAX_TEXT_BYTES, Masker
from orb_learning.capture._names import (
    is_secret_key,
    is_surely_secret,
    value_keys,
    value_places,
)
from orb_learning.capture._secrets import SECRETS
from orb_learning.events import (
    EVENT_TYPES,
    Event,
    Feedback,
    InvalidEvent,
    RoutingDecision,
    RoutingOutcome,
    SolutionExtracted,
    parse_line,
)
from orb_learning.home import Home
from orb_learning.spool import MAX_LINE_BYTES

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
DECISION = {"task_id": TASK, "task_type": "refactor", "repo": "acme/api", "model_tier": "large"}
OUTCOME = {"task_id": TASK, "success": False}
FEEDBACK = {"task_id": TASK, "feedback_type": "comment"}

# In two halves, or the file would look like a leak to whoever scans the repository for one.
_A = "a1B2c3D4e5F6g7H8i9J0"
KEY = "MIIEvQIBADANBgkqhkiG9w0B"
JWT = f"ey{'JhbGciOiJIUzI1NiJ9'}.ey{'JzdWIiOiIxMjM0NTY3ODkwIn0'}.{_A}"

SECRET_TEXTS = [
    # (text, what of it is secret, label)
    (f"Authorization: Bearer {_A}", _A, "bearer-token"),
    (f"bearer\n {_A}==", f"{_A}==", "bearer-token"),
    (f'{{"authorization": "BEARER {_A}"}}', _A, "bearer-token"),
    ("Bearer AbCdEfGhIjKlMnOp", "AbCdEfGhIjKlMnOp", "bearer-token"),
    ("Bearer abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz", "bearer-token"),
    (f"sk-{_A}", _A, "api-key"),
    (f"key=sk-proj-{_A}_-x,", _A, "api-key"),
    (f"sk-ant-api03-{_A}", _A, "api-key"),
    (f"sk_live_{_A}", _A, "api-key"),
    (f"rk_test_{_A}", _A, "api-key"),
    (f"AKIA{'IOSFODNN7EXAMPLE'}", "IOSFODNN7EXAMPLE", "api-key"),
    (f"ASIA{'IOSFODNN7EXAMPLE'}", "IOSFODNN7EXAMPLE", "api-key"),
    (f"AIza{_A}{_A}", _A, "api-key"),
    (f"ghp_{_A}", _A, "access-token"),
    (f"gho_{_A}", _A, "access-token"),
    (f"(ghs_{_A})", _A, "access-token"),
    (f"github_pat_11AB_{_A}", _A, "access-token"),
    (f"glpat-{_A}", _A, "access-token"),
    (f"xoxb-1234-{_A}", _A, "access-token"),
    (f"xoxe.xoxp-1-{_A}", _A, "access-token"),
    (f"hf_{_A}", _A, "access-token"),
    (f"npm_{_A}{_A}", _A, "access-token"),
    (f"pypi-AgEIcHlwaS5vcmc{_A}", _A, "access-token"),
    (JWT, JWT, "access-token"),
    (JWT.rpartition(".")[0], JWT.rpartition(".")[0], "access-token"),
    ("https://bob:hunter2@github.com/acme/api", "bob:hunter2", "url-credentials"),
    (f"git+https://{_A}@github.com/acme/api.git", _A, "url-credentials"),
    (f"https://git:{_A}@github.com/acme/api.git", _A, "url-credentials"),
    ("postgresql+psycopg://u:p@ss@w0rd@db:5432/app", "u:p@ss@w0rd", "url-credentials"),
    ("redis://:hunter2@cache", "hunter2", "url-credentials"),
    ("ftp://u:hunter\u00a02@host", "hunter\u00a02", "url-credentials"),
    (f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----", KEY, "private-key"),
    (
        f"-----BEGIN RSA PRIVATE KEY-----\\n{KEY}\\n-----END RSA PRIVATE KEY-----",
        KEY,
        "private-key",
    ),
    (
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{KEY}\n-----END PGP PRIVATE KEY BLOCK-----",
        KEY,
        "private-key",
    ),
    (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n{KEY}", KEY, "private-key"),
    (f'"{KEY}\n{KEY}\n-----END EC PRIVATE KEY-----', KEY, "private-key"),
    (f"'{KEY}\\n{KEY}\\n-----END EC PRIVATE KEY-----", KEY, "private-key"),
    ("alice.smith+ci@mail.example.com", "alice.smith", "email"),
    ("<bob@163.com>", "bob@163", "email"),
    ("jörg.müller@bücher.de", "müller", "email"),
    ("password=hunter2", "hunter2", "secret"),
    ("PASSWORD : 'hunter2'", "hunter2", "secret"),
    ('passwd="correct horse battery"', "horse", "secret"),
    ("password='it, is; a & b'", "it, is; a & b", "secret"),
    ('{"password": "p&s,s"}', "p&s,s", "secret"),
    (r'body="{\"db_password\": \"hunter2\"}"', "hunter2", "secret"),
    ("{'password': b'hunter2'}", "hunter2", "secret"),
    (":password => 'hunter2'", "hunter2", "secret"),
    ("password=git@hunter2", "hunter2", "secret"),
    ("passphrase: hunter2", "hunter2", "secret"),
    (f"OPENAI_API_KEY={_A}", _A, "secret"),
    (f"api_key: {_A}", _A, "secret"),
    (f'"apiKey":"{_A}"', _A, "secret"),
    (f"X-Api-Key: {_A}", _A, "secret"),
    (f"?access_token={_A}&x=1", _A, "secret"),
    (f"//registry.npmjs.org/:_authToken={_A}", _A, "secret"),
    (f"client_secret={_A}", _A, "secret"),
    (f"aws_secret_access_key = {_A}/{_A}", _A, "secret"),
    (f"SECRET_KEY='{_A}'", _A, "secret"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "secret"),
    ("'authorization': 'basic dXNlcjpwYXNz'", "dXNlcjpwYXNz", "secret"),
    (r"{\"Authorization\": \"Basic dXNlcjpwYXNz\"}", "dXNlcjpwYXNz", "secret"),
    (f"Proxy-Authorization: Token {_A}", _A, "secret"),
]

INNOCENT_TEXTS = [
    "task-0198a3a0-0000-7000-8000-000000000001",
    "risk-assessment-of-the-new-billing-flow",
    "ask-the-user-for-a-confirmation-first",
    "sk-learn",
    "sk-SK",
    "git@github.com:acme/api.git",
    "ssh://git@github.com/acme/api.git",
    "git+ssh://git@github.com/acme/api.git@main",
    "https://github.com/acme/api/pull/7?tab=files#r1",
    "https://medium.com/@someone/a-post",
    "http://localhost:8080/@scope/pkg",
    "basic authentication is required",
    "authorization: required for every endpoint",
    "bearer of bad news",
    "Bearer authentication is required",
    "use bearer authentication/authorization.",
    "bearer token-based-authentication",
    "the secret meeting, the secret: no",
    "forgot password link, password reset",
    "passwordless login with a token bucket",
    "the next token: 512 of 4096 tokens",
    "@dataclass",
    "@pytest.mark.parametrize",
    "@app.get('/items')",
    "@scope/pkg",
    "@scope/pkg@1.2.3",
    "lodash@4.17.21",
    "react@18.3.0-canary.ab12",
    "actions/checkout@v4.1.0",
    "python@3.11",
    "docker.io/library/python@sha256:" + "0a" * 32,
    "assets/icon@2x.png",
    "assets/icon@3x.png",
    "a @ b, C = A@B",
    "1.2.3-rc.1+build.5",
    "0198a3a0-0000-7000-8000-000000000001",
    "0a1b2c3d" * 5,
    "sha256:" + "0a1b2c3d" * 8,
    "/usr/lib/python3.11/site-packages/x/__init__.py",
    "C:\\Users\\x\\api_keys.txt",
    "src/secrets/api_key.py:12: warning",
    "AKIA and ghp_ are prefixes",
    "eyJ is how a JWT begins",
    "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
    "a PRIVATE KEY must not be committed",
    "",
]

Search = Callable[[str], bool]


@pytest.fixture
def spool_holds(home: Home) -> Search:
    """Search the bytes of the spool, whatever they mean."""

    def search(needle: str) -> bool:
        data = b"".join(path.read_bytes() for path in home.spool.iterdir())
        return needle.encode() in data or json.dumps(needle)[1:-1].encode() in data

    return search


@pytest.fixture
def only(home: Home, events_in: Any) -> Callable[[], Event]:
    """Return the one event in the spool."""

    def read() -> Event:
        (event,) = events_in(home.spool)
        return event

    return read


class Failing(dict[str, Any]):
    """A report that breaks when it is read, and says why."""

    def __init__(self, why: str) -> None:
        super().__init__(a=1)
        self.why = why

    def items(self) -> Any:
        raise RuntimeError(self.why)


def outcome(**fields: Any) -> RoutingOutcome:
    return RoutingOutcome(**OUTCOME, **fields)


# Where a text may be. Each hands it to a hook.

Place = Callable[[Telemetry, str], Event | None]

PLACES: dict[str, Place] = {
    "description": lambda hooks, text: hooks.capture_routing_decision_sync(
        {"task_data": {"description": text}, **DECISION}
    ),
    "task_description": lambda hooks, text: hooks.capture_routing_decision_sync(
        DECISION, task_description=text
    ),
    "repo": lambda hooks, text: hooks.capture_routing_decision_sync({**DECISION, "repo": text}),
    "candidates": lambda hooks, text: hooks.capture_routing_decision_sync(
        DECISION, candidates={text: 0.5, "large": 0.5}
    ),
    "error_message": lambda hooks, text: hooks.capture_routing_outcome_sync(
        OUTCOME, error_message=text
    ),
    "error_type": lambda hooks, text: hooks.capture_routing_outcome_sync(OUTCOME, error_type=text),
    "awaited": lambda hooks, text: asyncio.run(
        hooks.capture_routing_outcome(OUTCOME, solution_summary=text)
    ),
    "comment": lambda hooks, text: hooks.capture_feedback_sync(FEEDBACK, comment=text),
    "repos_used_in": lambda hooks, text: hooks.capture_sync(
        SolutionExtracted(
            task_context="c", solution_summary="s", success_rate=1, repos_used_in=["acme/api", text]
        )
    ),
    "task_ref": lambda hooks, text: hooks.capture_routing_outcome_sync(task_id=text, success=True),
    "value": lambda hooks, text: hooks.capture_routing_outcome_sync(OUTCOME, a=text),
    "value_at_depth": lambda hooks, text: hooks.capture_routing_outcome_sync(
        OUTCOME, metadata={"a": [1, {"b": [[text]]}]}
    ),
    "key": lambda hooks, text: hooks.capture_routing_outcome_sync(OUTCOME, metadata={text: 1}),
    "key_at_depth": lambda hooks, text: hooks.capture_routing_outcome_sync(
        OUTCOME, metadata={"a": [{"b": {text: {}}}]}
    ),
    "text_of_an_object": lambda hooks, text: hooks.capture_routing_outcome_sync(
        OUTCOME, cause=ValueError(text)
    ),
    "refused_field": lambda hooks, text: hooks.capture_routing_outcome_sync(
        task_id=TASK, error_message=text
    ),
    "refused_value_at_depth": lambda hooks, text: hooks.capture_feedback_sync(
        {"task_id": TASK, "rating": 9, "a": [{"b": text}]}
    ),
    "refused_key": lambda hooks, text: hooks.capture_feedback_sync(FEEDBACK, rating=9, a={text: 1}),
    "refused_text": lambda hooks, text: hooks.capture_sync(text),
    "reason_of_a_refusal": lambda hooks, text: hooks.capture_routing_outcome_sync(Failing(text)),
    "imported_refusal": lambda hooks, text: hooks.capture_sync(
        InvalidEvent(claimed_type="feedback", reason="x", payload=json.dumps({"a": text}))
    ),
    "torn_imported_refusal": lambda hooks, text: hooks.capture_sync(
        InvalidEvent(claimed_type="feedback", reason=text, payload='{"a": "' + text)
    ),
}


# Secrets


@pytest.mark.parametrize(("text", "secret", "label"), SECRET_TEXTS)
def test_a_secret_gives_way_to_its_label(text, secret, label):
    masked = Masker().text(f"before: {text} after")
    assert secret not in masked
    assert f"[{label}]" in masked
    assert masked.startswith("before: ")
    assert masked.endswith(" after") or "END" not in text


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_in_the_spool(telemetry, spool_holds, place):
    for number, (text, _, _) in enumerate(SECRET_TEXTS):
        PLACES[place](telemetry, f"hay {number}: {text} hay")
    for number, (_, secret, label) in enumerate(SECRET_TEXTS):
        assert spool_holds(f"hay {number}: "), "the search finds what is there"
        assert spool_holds(f"[{label}]")
        assert not spool_holds(secret)
    assert telemetry.stats().dropped == 0


def test_a_secret_is_masked_when_it_is_all_there_is(telemetry, only):
    telemetry.capture_sync(outcome(error_message=f"ghp_{_A}", metadata={f"sk-{_A}": f"hf_{_A}"}))
    assert only().error_message == "[access-token]"
    assert only().metadata == {"[api-key]": "[access-token]"}


def test_an_event_can_be_seen_as_it_would_be_written(telemetry, home):
    event = RoutingOutcome(task_id=UUID(int=1), success=False, error_message="password=hunter22")
    assert telemetry.as_written(event).error_message == "password=[secret]"
    assert not home.spool.exists()


@pytest.mark.parametrize(
    "text",
    [
        "password: {}==",
        "password:{}=",
        "api_key: {}==\nnext: line",
        "DB_PASSWORD: {}=x",
        "curl -H 'X-Api-Key: {}=='",
        "data:\n  password: {}=\n  username: YWRtaW4=",
        "password: {}\n=======\n>>>>>>> main",
        "password: {}\n===== 1 failed in 0.2s =====",
        "name: NPM_TOKEN\nvalue: {}",
        "token\t:\t{}",
        "NPM_TOKEN\n= {}",
        "TOKEN\r\n=\r\n{}",
        "def login(password: str = '{}')",
        "token: Config.Key = '{}'",
        "api_key: str | None='{}'",
    ],
)
@pytest.mark.parametrize("secret", ["aHVudGVyWmVicmE3Nw", "hunterZebra77"])
def test_what_follows_a_value_does_not_hide_it(telemetry, only, text, secret):
    event = telemetry.capture_routing_outcome_sync(
        task_id="t", success=False, error_message=text.format(secret)
    )
    assert secret not in event.error_message
    assert secret not in only().error_message


def test_every_secret_of_a_text_is_masked_and_the_rest_of_it_stays():
    text = f"ü sk-{_A},sk-{_A} \"a@b.cc\"\n😀 https://u:p@h/x a@b.cc password='x y' Bearer {_A} \\"
    assert Masker().text(text) == (
        'ü [api-key],[api-key] "[email]"\n😀 https://[url-credentials]@h/x [email] '
        "password='[secret]' Bearer [bearer-token] \\"
    )


def test_what_the_hook_returns_is_what_is_written(telemetry, only):
    event = telemetry.capture_routing_decision_sync({**DECISION, "repo": "https://u:p@h/acme"})
    assert event == only()
    assert event.repo == "https://[url-credentials]@h/acme"
    assert event.task_id == TASK


def test_a_task_is_the_same_task_although_its_name_is_masked(telemetry, only):
    telemetry.capture_routing_outcome_sync(task_id="alice@example.com", success=True)
    assert only().task_id == task_uuid("alice@example.com")
    assert only().metadata == {"task_ref": "[email]"}


def test_keys_that_come_to_read_the_same_keep_their_values():
    given = {"a@b.cc": 1, "[email]": 2, "c@d.ee": 3, "[email] (3)": 4, "e@f.gg": {"h@i.jj": 5}}
    assert Masker().value(given) == {
        "[email]": 1,
        "[email] (2)": 2,
        "[email] (3)": 3,
        "[email] (3) (4)": 4,
        "[email] (5)": {"[email]": 5},
    }


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Password", "db_password", "pass_word", "PASSWD", "passphrase", "pwd"),
        *("secret", "clientSecret", "client_secret_", "AWS_SECRET_ACCESS_KEY", "secret-key"),
        *(
            "DBPASS",
            "storepass",
            "pw",
            "Secrets.of.us",
            "old passcode 2",
            "credentials_file",
            "passwords",
        ),
        *("token", "TOKEN", "_token", "access-token", "authToken", "github_token", "sessionToken"),
        *("apikey", "X-Api-Key", "OPENAI_API_KEY", "private_key", "credentials", "key", "api.key"),
        *("API_KEY_2", "AccountKey", "encryption key", "APIKey", "PGPASSWORD", "accessToken"),
        *("Authorization", "proxy-authorization", "Cookie", "Set-Cookie", "to\u212aen"),
        *("auth", "httpAuth", "cookies", "user_jwt", "MYSQL_PWD", "db.pass", "PassPhrase"),
    ],
)
def test_every_text_under_a_secrets_name_is_secret_and_no_number_is(
    telemetry, spool_holds, only, key
):
    given = ["plain words", 1234, {"plain": "plain words", "n": 0.5, "ok": True}, "", None]
    kept = ["[secret]", 1234, {"plain": "[secret]", "n": 0.5, "ok": True}, "", None]
    headers = [{key: "plain words", "a": "hay"}, {key: given}, {key: {"a": given}}]
    telemetry.capture_sync(outcome(metadata={"headers": headers}))
    masked = [{key: "[secret]", "a": "hay"}, {key: kept}, {key: {"a": kept}}]
    assert only().metadata == {"headers": masked}
    assert spool_holds("hay")
    assert not spool_holds("plain words")


def test_a_user_in_a_secret_is_found_by_an_erasure():
    event = outcome(metadata={"credentials": {"user_id": "alice", "more": "plain"}})
    assert Masker().masked(event).metadata == {
        "credentials": {"user_id": "alice", "more": "[secret]"}
    }


def test_what_is_kept_under_a_secrets_name_is_secret_in_quarantine_too(telemetry, only):
    telemetry.capture_feedback_sync({"rating": 9, "headers": {"cookie": "plain words"}})
    assert json.loads(only().payload) == {"rating": 9, "headers": {"cookie": "[secret]"}}
    masked = Masker().masked(only().model_copy(update={"payload": '{"pwd": "plain", "ü": 1}'}))
    assert masked.payload == '{"pwd": "[secret]", "ü": 1}'


@pytest.mark.parametrize("value", [None, "", True, False, 0, 1234, 0.5, [], [1], {"a": 1}])
def test_what_is_no_text_is_no_secret(value):
    event = outcome(metadata={"password": value})
    assert Masker().masked(event) is event


@pytest.mark.parametrize(
    "key",
    [
        *("tokens", "prompt_tokens", "estimatedTokens", "tokenizer", "PWD_old", "x", "keys"),
        *("cache_key", "primaryKey", "FOREIGN_KEY", "sort-key", "partition.key", "monkey"),
        *("idempotency_key", "tests_passed", "pass_rate", "bypass", "compass", "author"),
        *("authenticated", "authority", "cookie_banner", "auth_method", "broken", "key_count"),
        *(
            "secretary",
            "secretion",
            "passwordless",
            "epic_key",
            "rowKey",
            "session_id",
            "sessionId",
        ),
    ],
)
def test_other_keys_make_no_secret(key):
    event = outcome(metadata={key: "plain words", "a": {key: ["plain words"]}})
    assert Masker().masked(event) is event


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"name": "API_KEY", "value": "plain"}, {"name": "API_KEY", "value": "[secret]"}),
        ({"Value": ["plain"], "Key": "auth"}, {"Value": ["[secret]"], "Key": "[secret]"}),
        (["mysql", "--password", "plain"], ["mysql", "--password", "[secret]"]),
        (["x-api-key", "plain1"], ["x-api-key", "[secret]"]),
        ([["Authorization", "Basic 1"]], [["Authorization", "[secret]"]]),
        ({"name": "cache_key", "value": "plain"}, None),
        (["password", "login"], None),
        (["password", "a1", "b2"], None),
        (["--password", "--verbose"], None),
        (["--token", 7], None),
        (["--password-stdin", "registry"], None),
        (["sshpass", "-p", "plain", "ssh"], ["sshpass", "-p", "[secret]", "ssh"]),
        (["sudo", "/usr/bin/mysql", "-pplain"], ["sudo", "/usr/bin/mysql", "[secret]"]),
        (["curl", "-u", "bob:plain", "x"], ["curl", "-u", "[secret]", "x"]),
        (["docker", "login", "-p", "plain"], ["docker", "login", "-p", "[secret]"]),
        (["sqlcmd", "-P", 7, "-S"], None),
        (["docker", "run", "-p", "80:80"], None),
        (["mysql", "-p", "-u", "root"], None),
        ({"kty": "RSA", "n": "plain", "d": "plain"}, {"kty": "RSA", "n": "plain", "d": "[secret]"}),
        ({"n": "plain", "d": "plain"}, None),
    ],
)
def test_a_name_and_its_value_may_stand_beside_each_other(telemetry, only, given, kept):
    telemetry.capture_sync(outcome(metadata={"a": given}))
    assert only().metadata == {"a": given if kept is None else kept}


def test_a_tier_may_have_a_secrets_name(telemetry, only):
    candidates = {"token": 0.25, "secret": 0.25, "a@b.cc": 0.5}
    telemetry.capture_routing_decision_sync(DECISION, candidates=candidates)
    assert only().candidates == {"token": 0.25, "secret": 0.25, "[email]": 0.5}
    event = RoutingDecision(**DECISION, candidates={"token": 0.5, "secret": 0.5})
    assert Masker().masked(event) is event


# What is no secret


@pytest.mark.parametrize("place", [place for place in PLACES if "refus" not in place])
def test_innocent_texts_stay_in_the_spool(telemetry, spool_holds, place):
    for text in INNOCENT_TEXTS:
        PLACES[place](telemetry, f"hay {text} hay")
    for text in INNOCENT_TEXTS:
        assert spool_holds(f"hay {text} hay")


@pytest.mark.parametrize("text", INNOCENT_TEXTS)
def test_an_event_in_which_nothing_must_go_is_the_same_event(telemetry, only, text):
    event = outcome(error_message=text, metadata={text: [{"a": text}], "b": [text, 1, None, 0.5]})
    assert Masker().text(text) is text
    assert Masker().masked(event) is event
    assert telemetry.capture_sync(event) is event
    assert only() == event


def test_an_ordinary_event_is_not_looked_into():
    event = RoutingDecision(**DECISION, task_description="split https://github.com/acme/api")
    assert not Masker().has_work(event.to_line())
    assert Masker().has_work(event.model_copy(update={"repo": "a@b.cc"}).to_line())


@pytest.mark.parametrize("masker", [Masker(lambda text: text), Masker(hash_descriptions=True)])
def test_every_event_is_looked_into_if_the_host_wishes_so(masker):
    event = outcome(error_message="boom")
    assert masker.has_work(event.to_line())
    assert masker.masked(event) is event


# The search of the line, and the time it takes


def _python(pattern: str) -> str:
    return pattern.replace(r"\p{L}\p{N}", r"\w")


_noise = st.text(
    st.sampled_from("\n\t\0\"'\\/@:=.-_ \u00a0\u2028aZ0\u017f\u212aé😀")
    | st.characters(codec="utf-8"),
    max_size=6,
)
_matches = st.one_of([st.from_regex(_python(secret.pattern)) for secret in SECRETS])
_texts = (
    st.tuples(_noise, st.sampled_from([text for text, *_ in SECRET_TEXTS]) | _matches, _noise)
    .map("".join)
    .filter(lambda text: text.isascii() or text.encode("utf-8", "replace").decode() == text)
)
_words = st.sampled_from(
    (
        *("secret", "Secrets", "passwd", "PASS", "word", "passphrase", "Credentials", "token"),
        *("TOKEN", "cookies", "auth", "Authorization", "jwt", "pwd", "pass", "key", "apikey"),
        *("db", "x", "2", "cache", "to\u212aen"),
    )
)
_keys = _texts | st.lists(_words | st.sampled_from([*"_-. "]), max_size=5).map("".join)


@given(text=_texts)
def test_the_search_of_the_line_finds_all_that_a_text_may_hide(text):
    masker = Masker()
    if masker.text(text) != text:
        assert masker.has_work(outcome(error_message=f"x{text}").to_line())
        assert masker.has_work(outcome(metadata={"a": [text]}).to_line())
        assert masker.has_work(outcome(metadata={text: 1}).to_line())


@given(key=_keys, text=_texts)
def test_the_search_of_the_line_finds_every_event_that_is_changed(key, text):
    masker = Masker()
    for event in (outcome(metadata={key: "plain"}), outcome(metadata={"a": {key: text}})):
        if masker.masked(event) is not event:
            assert masker.has_work(event.to_line())


@given(text=_texts, hash_descriptions=st.booleans())
def test_an_event_that_is_captured_again_is_the_same_event(text, hash_descriptions):
    masker = Masker(hash_descriptions=hash_descriptions)
    event = outcome(error_message=f"x{text}", metadata={text: text, "a": {"prompt": text}})
    once = masker.masked(event)
    assert masker.masked(once) is once


NASTY_TEXTS = [
    *(
        "token=",
        'token="',
        "token='\\",
        "token=\\'",
        "--token ",
        "<token>",
        "<token ",
        "<key>token</key>",
    ),
    *("('token','", "name:token,", "name: token\n", "password=$A", "password=${", "password: |\n"),
    *(
        "x",
        "key ",
        "a.",
        "a-token-",
        "tokenToken",
        "api ",
        "api key ",
        "cookie: a=b; ",
        "authorization: basic ",
    ),
    *(
        "http:&#47;",
        "https%3A%2F%2F",
        "curl ",
        "curl -u a:",
        "mysql -",
        "identified by '",
        "eyJa.eyJ",
    ),
    *(
        "password\\n",
        "password%20",
        "&lt;token&gt;",
        "password=a&",
        "AccountKey=",
        "a+ASt",
        "\\x1b[0",
    ),
    *("a@", "sk-", "AKIA", "://", "x://", "bearer ", "-----BEGIN PRIVATE KEY-----", "PRIVATE KEY "),
    *("password:", "password    ", "password='", "eyJaaaaaaaa", "é@", '"', "\\", " ", "-", "😀"),
]
NASTY_TEXTS += [
    *("a,password\n", "\t", "password\t", "password,", ",password\n,", "| password |\n", "|", ","),
    *(
        '"value": "',
        '"value":"a","name":"',
        "auth=('",
        "password is '",
        "a\\n,",
        "token: [",
        "['a', ",
    ),
]
NASTY_TEXTS += [
    *(
        "password=<<EOF\n",
        "password=<<",
        "password=<< ",
        "password <<< ",
        'cookie: a="',
        "cookie: ='",
    ),
    *(
        "(password) values (",
        "(password) values ('",
        "(password) values ('\\'",
        "(a,password)values",
    ),
    *('(password) values ("\\"', "values (", "copy a (", "copy ", "copy a (password) from stdin\n"),
    *(
        "user  password\n",
        "password  a1",
        "password | a1b2c3\n",
        "| a ",
        "a  ",
        "\t\t",
        "│",
        "---\n",
    ),
    *("machine a ", "machine a login b ", "login a password ", "default ", "user x identified by "),
    *(
        "jdbc:oracle:thin:a/",
        "sqlplus a/",
        "a:b@tcp",
        "a:5432:b:c:",
        "a:5432:",
        ":*:",
        "curl -b 'a=b",
    ),
    *("mysql -p ", "sshpass -p", "login -p ", "zip -P ", "openssl -k ", "smbclient -U a%", "7z -p"),
    *(
        "the password is ",
        "password for ",
        "with password ",
        '"kty" "d": "',
        '"d":"',
        "AGE-SECRET-KEY-1",
    ),
    *(
        "Private-Lines: 1\n",
        "Private-Lines: 1\na\n",
        "LS0tLS1CRUdJTiBQUklW",
        "---- BEGIN PRIVATE KEY ",
    ),
    *(
        "-----BEGIN A ",
        "mailto:",
        "mailto:a@",
        "a/",
        "a/b@",
        "a/b@c.",
        "a@b.cc:",
        "a@b.c/",
        "%40",
        "a%40b.cc",
    ),
    *(
        "x://a:b/",
        "x://a:b/c@",
        "x://a:1/",
        'x://a"',
        "password: This field is required ",
        "token: Aa1",
    ),
    *("sessionid=", "password: '" + "a " * 90, "PASSWORD = crypt('", "'password': {'S': "),
]
FULL_OF_SECRETS = [
    *(
        "token=a1b2c3d4 ",
        "('password', 'a1') ",
        "--password a ",
        "<pwd>a1b2c3</pwd>",
        "api key: a1 ",
    ),
    *("a@b.cc ", "é@é.éé ", "x://a@", "bearer a1a1a1a1a1a1 ", "-----END PRIVATE KEY-----"),
    *('secret="a ', "authorization: basic ", "eyJaaaaaaaa.", "sk-a1a1a1a1a1a1a1a1 "),
]


@pytest.mark.parametrize(
    ("text", "size"),
    [(text, 65536) for text in NASTY_TEXTS] + [(text, 8192) for text in FULL_OF_SECRETS],
)
def test_the_nastiest_text_takes_no_time(telemetry, text, size):
    nasty = (text * size)[:size]
    # Of this process alone: it may be one of many on its machine.
    begin = time.process_time()
    Masker().text(nasty)
    telemetry.capture_sync(outcome(error_message=nasty, metadata={"a": {"b": nasty}}))
    assert time.process_time() - begin < 3  # a time that is square would take minutes
    assert telemetry.stats().dropped == 0


@pytest.mark.parametrize("text", NASTY_TEXTS)
def test_the_nastiest_name_takes_no_time(text):
    nasty = (text * 65536)[:65536]
    begin = time.process_time()
    value_places([nasty, "a"])
    value_keys({"name": nasty, "value": "a"})
    is_surely_secret(nasty)
    is_secret_key(nasty)
    assert time.process_time() - begin < 3


_pieces = st.lists(
    st.sampled_from(
        (
            *("password", "token", "Authorization", "Cookie", "api key", "key", "name", "value"),
            *("=", ":", ": ", ",", ", ", "\n", "\t", " ", "\\n", '"', "'", '\\"', "`", '"""'),
            *(
                "<",
                ">",
                "</",
                "<token>",
                "&lt;",
                "&gt;",
                "&quot;",
                "%3D",
                "%22",
                "(",
                ")",
                "[",
                "]",
            ),
            *("{", "}", "--", "-", "$", "*", "**", "|", "Basic ", "Bearer ", "a1b2c3d4", "plain"),
            *("[secret]", "[url-credentials]", "\u00a0", "\u2028", "curl -u a:", "is ", "https://"),
            *("@", "@b.cc", "\x1b[0m", "Some(", "<![CDATA[", "]]>", "password,user\n", "a,b\n"),
        )
    ),
    max_size=12,
).map("".join)


@settings(max_examples=300)
@given(text=_pieces)
def test_whatever_a_text_is_made_of_it_is_masked_and_found_in_its_line(text):
    masker = Masker()
    event = outcome(error_message=f"x{text}", metadata={"a": [text]})
    assert masker.masked(event) is event or masker.has_work(event.to_line())


# Long texts


def _cut_note(text: str) -> dict[str, Any]:
    spelled = text.encode()
    return {"bytes": len(spelled), "sha256": hashlib.sha256(spelled).hexdigest()}


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
@pytest.mark.parametrize("surplus", [1, 3000, 50_000])
def test_a_long_text_is_cut_at_8_kb_between_two_letters(telemetry, only, letter, surplus):
    size = len(letter.encode())
    text = "y" + letter * (MAX_TEXT_BYTES // size + surplus)
    telemetry.capture_sync(outcome(error_message=text))
    kept = only().error_message
    assert text.startswith(kept)
    assert MAX_TEXT_BYTES - size < len(kept.encode()) <= MAX_TEXT_BYTES
    assert only().metadata == {CUT_TEXTS: {"error_message": _cut_note(text)}}


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_a_text_of_8_kb_stays(letter):
    text = letter * (MAX_TEXT_BYTES // len(letter.encode()))
    event = outcome(error_message=text, metadata={"a": text})
    assert Masker().masked(event) is event


def test_long_texts_in_the_metadata_are_cut_and_noted_by_their_paths(telemetry, only):
    text = "x" * (MAX_TEXT_BYTES + 1)
    telemetry.capture_sync(
        outcome(
            error_message=text,
            metadata={"a": [1, {"b": text}], "c": text, "d": "short", "e@f.gg": text},
        )
    )
    kept, note = text[:-1], _cut_note(text)
    assert only().error_message == kept
    assert only().metadata == {
        "a": [1, {"b": kept}],
        "c": kept,
        "d": "short",
        "[email]": kept,
        CUT_TEXTS: {
            "error_message": note,
            "metadata.a[1].b": note,
            "metadata.c": note,
            "metadata.[email]": note,
        },
    }


def test_a_path_is_cut_after_its_secrets_are_masked(telemetry, only, spool_holds):
    key = "k" * 180 + " https://bob:hunter2@example.com"
    telemetry.capture_sync(outcome(metadata={key: {"a" * 100: "x" * 9000}}))
    (path,) = only().metadata[CUT_TEXTS]
    assert path == f"metadata.{key[:180]} https://[url-"[:200]
    assert not spool_holds("bob")


@pytest.mark.parametrize("prefix", ["x", "é", "€", "x ", "a@b.cc, "])
@pytest.mark.parametrize("after", ["", " ", "y" * 20_000, " y" * 20_000, f" sk-{_A}" * 2000])
@pytest.mark.parametrize(
    ("secret", "parts"),
    [
        (f" sk-{_A}{_A}", ["sk-a1B2", _A]),
        (" https://alice:" + "hunter2" * 300 + "@example.com", ["alice", "hunter2"]),
        (" alice.smith@example.com", ["alice", "smith"]),
        (f" -----BEGIN PRIVATE KEY-----{KEY * 200}-----END PRIVATE KEY-----", [KEY]),
        (f" {JWT[:40]}{'a1B2' * 500}.{_A}", [JWT[:15], "a1B2"]),
    ],
)
def test_a_secret_across_the_cut_is_masked(prefix, after, secret, parts):
    room = MAX_TEXT_BYTES // len(prefix.encode())
    for shift in (len(secret) // 2, len(secret) + 5, 8):
        text = f"{(prefix * room)[: max(room * len(prefix) - shift, 0)]}{secret}{after}"
        masked = Masker().masked(outcome(error_message=text))
        assert len(masked.error_message.encode()) <= MAX_TEXT_BYTES
        for part in parts:
            assert part not in masked.error_message


@pytest.mark.parametrize("end", range(0, 40, 3))
def test_half_a_secret_at_the_end_of_what_is_seen_is_left_out(end):
    """Labels are shorter than what they stand for: there would be room for it."""
    seen = MAX_TEXT_BYTES + 4096
    secrets = f"{'x ' * 1000}sk-{'a' * 6000} "
    filler = "z " * seen
    text = f"{secrets}{filler}"[: seen - end] + "https://alice:hunter2hunter2@example.com " + filler
    kept = Masker().masked(outcome(error_message=text)).error_message
    assert kept.startswith("x x ")
    assert "[api-key] z" in kept
    assert "alice" not in kept


def test_a_long_text_of_nothing_but_secrets_is_withheld(telemetry, only):
    text = f"sk-{'a' * 20_000}"
    telemetry.capture_sync(outcome(error_message=text))
    assert only().error_message == "[withheld]"
    assert only().metadata == {CUT_TEXTS: {"error_message": _cut_note(text)}}


def test_a_text_that_its_labels_make_too_long_is_cut():
    text = "x://a@ " * 1000
    masked = Masker().masked(outcome(error_message=text))
    assert len(masked.error_message) == MAX_TEXT_BYTES
    assert masked.metadata == {CUT_TEXTS: {"error_message": _cut_note(text)}}
    assert Masker().masked(masked) is masked


def test_a_text_that_the_hosts_rule_makes_too_long_is_cut():
    masked = Masker(lambda text: "x" * 9000).masked(outcome(error_message="short"))
    assert masked.error_message == "x" * MAX_TEXT_BYTES
    assert masked.metadata == {CUT_TEXTS: {"error_message": _cut_note("short")}}


def test_a_text_that_its_labels_make_short_enough_is_whole():
    event = outcome(error_message=f"sk-{'a' * 9000}")
    assert Masker().masked(event) == event.model_copy(update={"error_message": "[api-key]"})


def test_a_payload_in_quarantine_is_not_cut_at_8_kb(telemetry, only):
    long, secret = "x" * 12_000, f"sk-{_A}"
    telemetry.capture_feedback_sync({"rating": 9, "a": f"{long} {secret} {long}", "b": "end"})
    assert json.loads(only().payload) == {"rating": 9, "a": f"{long} [api-key] {long}", "b": "end"}
    assert only().metadata is None


# The host's own rule


def _hide_customer(text: str) -> str:
    return text.replace("ACME-4711", "[customer]")


@pytest.mark.parametrize("place", PLACES)
def test_the_hosts_rule_is_used_on_every_text(home, spool_holds, place):
    with Telemetry(home.root, mask=_hide_customer) as telemetry:
        PLACES[place](telemetry, f"hay for ACME-4711, sk-{_A}")
    assert spool_holds("hay for [customer], [api-key]")
    assert not spool_holds("ACME-4711")


def _raise(text: str) -> str:
    raise RuntimeError(text)


BAD_RULES: list[Callable[[str], Any]] = [
    _raise,
    lambda text: "",
    lambda text: None,
    lambda text: 7,
    lambda text: text.encode(),
    lambda text: type("Odd", (), {"encode": lambda self, *_: "x"})(),
]


@pytest.mark.parametrize("rule", BAD_RULES)
@pytest.mark.parametrize("place", PLACES)
def test_a_text_is_withheld_if_the_hosts_rule_fails(home, spool_holds, place, rule):
    with Telemetry(home.root, mask=rule) as telemetry:
        PLACES[place](telemetry, "needle")
        assert telemetry.stats().dropped == 0
    assert spool_holds("[withheld]")
    assert not spool_holds("needle")


def test_what_the_hosts_rule_returns_can_always_be_stored(home, only):
    class Name(str):
        __slots__ = ()

    with Telemetry(home.root, mask=lambda text: Name(f"{text}\ud800")) as telemetry:
        telemetry.capture_sync(outcome(error_message="x"))
    assert only().error_message == "x\\ud800"


def test_a_text_is_withheld_from_an_event_that_the_rule_itself_captures(home, events_in):
    def rule(text: str) -> str:
        telemetry.capture_sync(outcome(error_message=text))
        return f"{text}!"

    with Telemetry(home.root, mask=rule) as telemetry:
        telemetry.capture_sync(outcome(error_message="x"))
        telemetry.capture_sync(outcome(error_message="y"))
    texts = [event.error_message for event in events_in(home.spool)]
    assert texts == ["[withheld]", "x!", "[withheld]", "y!"]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (_hide_customer, "y" * 8187 + "[cust"),
        (lambda text: f"{len(text)} letters", "12288 letters"),
        (_raise, "[withheld]"),
    ],
)
def test_the_hosts_rule_sees_a_long_text_up_to_a_margin_behind_the_cut(rule, kept):
    text = "y" * 8187 + "ACME-4711" + "z" * 10_000
    assert Masker(rule).masked(outcome(error_message=text)).error_message == kept


RULES: list[Callable[[str], str]] = [
    lambda text: "[x]",
    lambda text: text * 3,
    str.upper,
    str.swapcase,
    _raise,
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("cls", EVENT_TYPES.values())
@settings(max_examples=10)
@given(data=st.data())
def test_an_event_stays_valid_whatever_the_hosts_rule_makes_of_its_texts(
    values_of, rule, cls, data
):
    event = cls(**data.draw(values_of(cls)))
    masked = Masker(rule, hash_descriptions=True).masked(event)
    line = masked.to_line()
    assume(len(line) < MAX_LINE_BYTES)  # longer ones the hooks refuse
    assert parse_line(line) == masked
    assert masked.event_id == event.event_id


# Descriptions as hashes


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


LOGIN = "alice:hunter2"
PLAN = "a plan that nobody may read"


@pytest.fixture
def hashing(home: Home) -> Any:
    with Telemetry(home.root, hash_descriptions=True) as telemetry:
        yield telemetry


@pytest.mark.parametrize("spelling", ["task_description", "description", "prompt"])
def test_of_a_description_only_the_hash_is_written(hashing, only, spool_holds, spelling):
    hashing.capture_routing_decision_sync({"task_data": {spelling: PLAN}, **DECISION})
    assert only().task_description == _hash(PLAN)
    assert only().task_type == "refactor"
    assert not spool_holds("plan")


@pytest.mark.parametrize(
    "key",
    ["task_description", "description", "prompt", "Prompt", "system_prompt", "taskDescription"],
)
@pytest.mark.parametrize("value", [PLAN, [PLAN], [{"role": "user", "content": PLAN}]])
def test_of_a_description_in_the_metadata_only_the_hash_is_written(
    hashing, only, spool_holds, key, value
):
    hashing.capture_sync(outcome(error_message="boom", metadata={"a": [{key: value, "b": "hay"}]}))
    (kept,) = only().metadata["a"]
    assert kept == {
        key: _hash(value if isinstance(value, str) else json.dumps(value, sort_keys=True)),
        "b": "hay",
    }
    assert only().error_message == "boom"
    assert not spool_holds("plan")


def test_a_second_description_is_hashed_too(hashing, only, spool_holds):
    hashing.capture_routing_decision_sync(DECISION, description=f"{PLAN} 1", prompt=f"{PLAN} 2")
    assert only().task_description == _hash(f"{PLAN} 1")
    assert only().metadata == {"prompt": _hash(f"{PLAN} 2")}
    assert not spool_holds("plan")


@pytest.mark.parametrize("value", [None, True, 7])
def test_what_is_no_text_is_not_hashed(value):
    event = outcome(metadata={"prompt": value})
    assert Masker(hash_descriptions=True).masked(event) is event


@pytest.mark.parametrize("given", [{"prompt": PLAN}, {"a": {"task_description": PLAN}}])
def test_of_a_description_in_quarantine_only_the_hash_is_written(hashing, only, spool_holds, given):
    hashing.capture_feedback_sync({**given, "rating": 9, "comment": "hay"})
    assert _hash(PLAN) in only().payload
    assert json.loads(only().payload)["comment"] == "hay"
    assert not spool_holds("plan")


@pytest.mark.parametrize("end", [None, -3])
def test_of_a_description_in_a_refused_import_only_a_hash_is_written(
    hashing, only, spool_holds, end
):
    payload = json.dumps({"description": PLAN, "rating": 9})[:end]
    hashing.capture_sync(InvalidEvent(claimed_type="x", reason="hay", payload=payload))
    if end is None:
        assert json.loads(only().payload) == {"description": _hash(PLAN), "rating": 9}
    else:
        assert only().payload == _hash(payload)
    assert spool_holds("hay")
    assert not spool_holds("plan")


@pytest.mark.parametrize("payload", ["[" * 100_000, '{"a": 1}', "1e5", "NaN", "", "{"])
def test_a_payload_in_which_nothing_must_go_is_the_same_text(payload):
    event = InvalidEvent(claimed_type="x", reason="x", payload=payload)
    assert Masker().masked(event) is event


def test_a_hash_that_is_captured_again_stays(hashing, events_in, home):
    event = hashing.capture_routing_decision_sync(DECISION, description=PLAN)
    assert hashing.capture_sync(event) is event
    assert events_in(home.spool) == [event, event]


def test_descriptions_are_written_by_default(telemetry, only):
    telemetry.capture_routing_decision_sync(DECISION, description=PLAN)
    assert only().task_description == PLAN


# Who gave feedback


def test_an_address_becomes_a_pseudonym_which_is_the_same_for_the_same_user(
    telemetry, home, events_in, spool_holds
):
    for user_id in ("alice@example.com", "bob@example.com", "alice@example.com"):
        telemetry.capture_feedback_sync(FEEDBACK, user_id=user_id, comment="hay")
    alice, bob, again = (event.user_id for event in events_in(home.spool))
    assert alice == again == pseudonym("alice@example.com")
    assert bob != alice
    assert alice.startswith("user-")
    assert len(alice) == len("user-") + 16
    assert spool_holds("hay")
    assert not spool_holds("alice")
    assert not spool_holds("example")


@pytest.mark.parametrize("user_id", ["alice", "u-7", "0198a3a0-0000-7000-8000-000000000001", "ü"])
def test_any_other_user_id_stays(telemetry, only, user_id):
    event = Feedback(**FEEDBACK, user_id=user_id)
    assert telemetry.capture_sync(event) is event
    assert only().user_id == user_id


@pytest.mark.parametrize("user_id", [f"sk-{_A}", "u" * 9000])
def test_a_user_id_that_must_not_be_written_becomes_a_pseudonym(user_id):
    event = Feedback(**FEEDBACK, user_id=user_id)
    masked = Masker().masked(event)
    assert masked == event.model_copy(update={"user_id": pseudonym(user_id)})
    assert Masker().masked(masked) is masked


@pytest.mark.parametrize("rule", [_hide_customer, _raise])
def test_a_user_id_that_the_hosts_rule_changes_becomes_a_pseudonym(rule):
    event = Feedback(**FEEDBACK, user_id="ACME-4711")
    assert Masker(rule).masked(event).user_id == pseudonym("ACME-4711")


def test_feedback_without_a_user_has_none(telemetry, only):
    telemetry.capture_feedback_sync(FEEDBACK, comment="a@b.cc")
    assert only().user_id is None
    assert only().comment == "[email]"


def test_a_masked_event_is_a_copy_and_the_hosts_own_stays_whole():
    metadata: Mapping[str, Any] = {"a": ["a@b.cc"], "b": {"c": 1}}
    event = outcome(metadata=metadata)
    masked = Masker().masked(event)
    assert masked.metadata == {"a": ["[email]"], "b": {"c": 1}}
    assert event.metadata == metadata
    assert masked.event_id == event.event_id


# What a refused event shows


@dataclass
class _Plan:
    task_id: str
    task_description: str


@pytest.mark.parametrize(
    "hook",
    [
        lambda hooks: hooks.capture_feedback_sync(_Plan("t", PLAN)),
        lambda hooks: hooks.capture_routing_outcome_sync(
            RoutingDecision(
                task_id=TASK, task_type="x", repo="y", model_tier="z", task_description=PLAN
            )
        ),
        lambda hooks: hooks.capture_feedback_sync(
            feedback_type="x", metadata={"a": _Plan("t", PLAN)}
        ),
    ],
)
def test_the_description_of_a_refused_object_is_hashed_too(hashing, hook, only):
    assert hook(hashing) is None
    assert PLAN not in only().payload
    assert _hash(PLAN) in only().payload


@pytest.mark.parametrize("before", ["", "x" * 190 + " "])
def test_the_class_name_of_a_refused_object_is_masked_and_then_cut(telemetry, only, before):
    odd = type(f"{before}sk-{_A}", (), {})
    assert telemetry.capture_sync(odd()) is None
    assert only().claimed_type == f"{before}[api-key]"[:200]
    assert _A not in only().to_line().decode()


@pytest.mark.parametrize(
    "given",
    [
        {
            "rating": 9,
            "a": ["x" * 15_900 + " sk-" + "a" * 96, "y" * 16_728, f"https://{LOGIN}@x.com"],
        },
        {"rating": "x" * 4060 + f" https://{LOGIN}@example.com"},
    ],
)
def test_no_half_of_a_secret_is_left_at_a_cut(telemetry, only, given):
    assert telemetry.capture_feedback_sync(given, feedback_type="x") is None
    assert "alice" not in only().payload
    assert "alice" not in only().reason
