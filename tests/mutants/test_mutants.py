"""The known bugs still fit the code that they are put into; `make mutants` tries them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants import MUTANTS, Mutant

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bugs_place_is_found_once(mutant: Mutant) -> None:
    assert (CHECKOUT / mutant.path).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    for argument in mutant.tests:
        if argument.endswith(".py"):
            assert (CHECKOUT / argument).exists()
