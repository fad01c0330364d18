"""Wings of the package import downwards only, in no circle, and no private room of another."""

from __future__ import annotations

import ast
from pathlib import Path

import orb_learning

PACKAGE = Path(orb_learning.__file__).parent

# From the bottom up: a wing imports from itself and from wings that stand before it.
WINGS = (
    *(
        "errors",
        "_coercion",
        "_types",
        "_locks",
        "home",
        "logs",
        "_event_fields",
        "_tombstones",
        "events",
        "records",
    ),
    *(
        "_advice",
        "_spellings",
        "_success",
        "_files",
        "_spill",
        "_database",
        "_faults",
        "_interrupt",
    ),
    *("spool", "capture", "hosts", "_telemetry", "_face"),
    *("warehouse", "staging", "publication", "embeddings", "refresh", "upkeep", "dbt_plugin"),
    *("serving", "importer", "demo", "cli", "__main__"),
)


def modules() -> dict[str, Path]:
    """Return every module of the package by its name below `orb_learning`, the face excepted."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


MODULES = modules()


def imports_of(name: str) -> set[str]:
    """Return what a module imports from the package when it runs, within functions too."""
    tree = ast.parse(MODULES[name].read_text())
    only_for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in only_for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("orb_learning.") in MODULES
                found.add(whole if is_module else str(node.module))
    ours = {one for one in found if one.split(".")[0] == "orb_learning"}
    return {one.removeprefix("orb_learning").removeprefix(".") for one in ours}


IMPORTS = {name: imports_of(name) for name in MODULES}


def wing_of(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def test_every_module_stands_in_a_wing():
    assert {wing_of(name) for name in MODULES} <= set(WINGS)


def test_no_wing_imports_from_a_higher_one():
    upward = [
        f"{name} -> {imported or 'the face'}"
        for name, found in IMPORTS.items()
        for imported in found
        if imported == "" or WINGS.index(wing_of(imported)) > WINGS.index(wing_of(name))
    ]
    assert upward == []


def test_no_wing_reaches_into_another_ones_private_module():
    reaches = [
        f"{name} -> {imported}"
        for name, found in IMPORTS.items()
        for imported in found
        if wing_of(imported) != wing_of(name)
        and any(part.startswith("_") for part in imported.split(".")[1:])
    ]
    assert reaches == []


def test_no_modules_import_each_other_in_a_circle():
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above[above.index(name) :], name))
        if name not in done:
            for imported in sorted(IMPORTS[name]):
                walk(imported, (*above, name))
            done.add(name)

    for name in MODULES:
        walk(name, ())


def test_no_module_is_longer_than_400_lines():
    long = {
        name: count
        for name, path in MODULES.items()
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
