"""The raw tables are what the event classes say."""

from __future__ import annotations

import duckdb
import pytest

from orb_learning.events import EVENT_TYPES
from orb_learning.staging import LOADER_COLUMNS, raw_columns, upgrade


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        upgrade(opened)
        yield opened


def test_there_is_one_raw_table_for_every_kind_of_event(connection):
    found = connection.execute(
        "select table_name from duckdb_tables() where schema_name = 'raw'"
    ).fetchall()
    assert {name for (name,) in found} == set(EVENT_TYPES)


@pytest.mark.parametrize("cls", EVENT_TYPES.values())
def test_a_raw_table_has_its_classs_columns_and_types(connection, cls):
    described = connection.execute(f"describe raw.{cls.type_name}").fetchall()
    assert {name: kind for name, kind, *_ in described} == raw_columns(cls)


@pytest.mark.parametrize("cls", EVENT_TYPES.values())
def test_a_raw_column_is_null_only_where_a_field_may_be(connection, cls):
    described = connection.execute(f"describe raw.{cls.type_name}").fetchall()
    nullable = {name for name, _, null, *_ in described if null == "YES"}
    assert nullable == {name for name, field in cls.model_fields.items() if _may_be_none(field)}
    assert not nullable & LOADER_COLUMNS.keys()


def _may_be_none(field) -> bool:
    return field.default is None and not field.is_required()


def test_every_type_of_field_has_a_type_of_column():
    kinds = {kind for cls in EVENT_TYPES.values() for kind in raw_columns(cls).values()}
    assert kinds == {
        "BIGINT",
        "BOOLEAN",
        "DOUBLE",
        "FLOAT[]",
        "INTEGER",
        "JSON",
        "TIMESTAMP",
        "UUID",
        "VARCHAR",
        "VARCHAR[]",
    }
