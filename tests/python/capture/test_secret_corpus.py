"""How much of what agents write is masked, and how much of it wrongly."""

from __future__ import annotations

import json

import pytest
from secret_corpus import HARMLESS_TEXTS, SECRET_TEXTS

from orb_learning.capture._masking import Masker
from orb_learning.events import RoutingOutcome

TASK = "0198a3a0-0000-7000-8000-000000000001"


def test_the_corpus_is_large_and_says_nothing_twice():
    assert len({text for text, _ in SECRET_TEXTS}) == len(SECRET_TEXTS) >= 250
    assert len(set(HARMLESS_TEXTS)) == len(HARMLESS_TEXTS) >= 250
    assert all(secret in text for text, secret in SECRET_TEXTS)


@pytest.mark.parametrize("frame", ["{}", "before {} after", "line 1\n{}\nline 3"])
def test_nearly_every_secret_is_masked(frame):
    masker = Masker()
    kept = [
        text for text, secret in SECRET_TEXTS if secret in masker.text(frame.replace("{}", text))
    ]
    print(
        f"masked: {1 - len(kept) / len(SECRET_TEXTS):.1%} of {len(SECRET_TEXTS)}", *kept, sep="\n"
    )
    assert len(kept) <= len(SECRET_TEXTS) * 0.01


@pytest.mark.parametrize("frame", ["{}", "before {} after", "line 1\n{}\nline 3"])
def test_hardly_any_harmless_text_is_masked(frame):
    masker = Masker()
    framed = [frame.replace("{}", text) for text in HARMLESS_TEXTS]
    changed = [kept for text in framed if (kept := masker.text(text)) != text]
    print(f"wrongly masked: {len(changed) / len(framed):.1%} of {len(framed)}", *changed, sep="\n")
    assert len(changed) <= len(HARMLESS_TEXTS) * 0.02


def test_the_search_of_the_line_finds_every_secret_of_the_corpus():
    masker = Masker()
    for text, _ in SECRET_TEXTS:
        if masker.text(text) != text:
            event = RoutingOutcome(task_id=TASK, success=False, error_message=text)
            assert masker.has_work(event.to_line()), text
            held = json.dumps({"a": text}, ensure_ascii=False).encode()
            assert masker.has_work(held), text
