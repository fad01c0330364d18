"""What the package says of itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import orb_learning
import pythons

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_package_says_that_it_is_typed():
    assert (Path(orb_learning.__file__).parent / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_everything_that_hosts_are_given_is_there_and_nothing_else():
    assert {name for name in orb_learning.__all__ if not hasattr(orb_learning, name)} == set()
    assert set(orb_learning.__all__) <= set(dir(orb_learning))
    with pytest.raises(AttributeError, match="has no attribute 'telemetry'"):
        orb_learning.telemetry  # noqa: B018 - that it fails is the point


def test_a_submodule_of_the_hooks_is_there_as_soon_as_the_package_is():
    code = "import orb_learning; print(orb_learning.events.__name__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "orb_learning.events\n"


def test_the_package_alone_loads_nothing_but_itself():
    code = "import sys; had = {*sys.modules}; import orb_learning; print({*sys.modules} - had)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "{'orb_learning'}\n"


def test_the_license_is_the_one_that_is_named():
    assert PROJECT["license"] == "Apache-2.0"
    lines = (ROOT / "LICENSE").read_text().split("\n")
    assert [line.strip() for line in lines[1:3]] == ["Apache License", "Version 2.0, January 2004"]


def test_the_classifiers_name_what_the_tests_of_the_hooks_run_on():
    assert pythons.claimed() == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == ">=3.11"
    assert all((ROOT / "tests" / "python" / name).exists() for name in pythons.TESTS)


def test_a_host_is_asked_for_nothing_that_another_host_excludes():
    names = {line.split(">")[0] for line in PROJECT["dependencies"]}
    assert "filelock" not in names


def test_an_interpreter_that_is_missing_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pythons.interpreter("3.12") is None
    stub = tmp_path / "versions" / "3.12.9" / "bin" / "python"
    stub.parent.mkdir(parents=True)
    stub.write_text("#!/bin/sh\necho 3.12\n")
    stub.chmod(0o700)
    assert pythons.interpreter("3.12") == str(stub)
    assert pythons.interpreter("3.13") is None
