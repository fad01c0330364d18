"""What dbt is told of the raw tables, written from the event classes by `make sources`.

Each field's text is also a doc block of the field's name, for the models that pass it on.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

from orb_learning.events import EVENT_TYPES
from orb_learning.staging._columns import LOADER_COLUMNS, raw_columns

_HEAD = """# Written by `make sources` from the event classes.
version: 2

sources:
  - name: raw
    description: Raw events, one table per kind, appended by the loader and never changed.
    database: staging
    schema: raw
    config:
      loaded_at_field: captured_at
      freshness:
        warn_after: {count: 1, period: day}
    tables:
"""
_DOCS_HEAD = "{# Written by `make sources` from the event classes. #}\n\n"
_TABLE = """      - name: {name}
        description: {description}
        data_tests:
          - columns_as_declared
          - unique_together: {{arguments: {{columns: [event_id, event_hash]}}}}
        columns:
"""
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def write() -> None:
    """Write the files anew in the checkout one stands in."""
    for path, text in written().items():
        Path(path).write_text(text, encoding="utf-8")


def written() -> dict[str, str]:
    """Return each file's text by its path in the checkout."""
    return {
        "models/staging/_staging__sources.yml": _sources(),
        "models/staging/_fields.md": _doc_blocks(),
    }


def field_texts() -> dict[str, str]:
    """Return what each field of an event means, by name.

    Raises:
        ValueError: a field has no text, or two.
    """
    said: dict[str, str] = {}
    for cls in {base: None for kind in EVENT_TYPES.values() for base in reversed(kind.__mro__)}:
        if not cls.__module__.startswith("orb_learning."):
            continue
        _, _, attributes = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
        for name, text in _ATTRIBUTE.findall(attributes):
            if name in said:
                raise ValueError(f"{cls.__name__}.{name} is described elsewhere already")
            said[name] = " ".join((text[0].upper() + text[1:]).split())
    texts = {}
    for cls in EVENT_TYPES.values():
        for name, type_ in raw_columns(cls).items():
            if name in LOADER_COLUMNS:
                continue
            if name not in said:
                raise ValueError(f"{cls.__name__}.{name} has no text in the docstring of its class")
            texts[name] = f"UTC. {said[name]}" if type_ == "TIMESTAMP" else said[name]
    return texts


def _sources() -> str:
    texts = field_texts() | {name: f"{{{{ doc('{name}') }}}}" for name in LOADER_COLUMNS}
    lines = [_HEAD]
    for kind, cls in EVENT_TYPES.items():
        said = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
        lines.append(_TABLE.format(name=kind, description=_quoted(f"{said} One row per event.")))
        for name, type_ in raw_columns(cls).items():
            declared = f'"{type_.lower()}"' if "[" in type_ else type_.lower()
            tests = ", data_tests: [not_null]" if name == "event_id" else ""
            lines.append(
                f"          - {{name: {name}, data_type: {declared},"
                f" description: {_quoted(texts[name])}{tests}}}\n"
            )
    return "".join(lines)


def _doc_blocks() -> str:
    blocks = [f"{{% docs {name} %}}{text}{{% enddocs %}}\n" for name, text in field_texts().items()]
    return "".join([_DOCS_HEAD, *blocks])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    write()
