"""The examples in the documentation run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXAMPLES = [
    pytest.param(code, id=f"{file.name}:{number}")
    for file in sorted(DOCS.glob("*.md"))
    for number, code in enumerate(PYTHON.findall(file.read_text()), 1)
]

HOST = """
class Router:
    async def route_task(self, task):
        return {"tier": "large"}


class PoolManager:
    async def execute_on_pool(self, pool_id, task):
        return {"status": "completed"}


class Bus:
    def subscribe(self, message_type, handler): ...

    async def publish(self, message): ...


router, pool_manager, bus = Router(), PoolManager(), Bus()
"""


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(code, tmp_path):
    (tmp_path / "my_orchestrator.py").write_text(HOST)
    (tmp_path / "example.py").write_text(code)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""


def test_there_are_examples():
    assert len(EXAMPLES) >= 4
