-- Which import brought a row, or had it refused; null for what a hook wrote.
alter table raw.execution_recorded add column import_id VARCHAR;
alter table ledger.quarantine add column import_id VARCHAR;

create table raw.import_undone (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    import_hash VARCHAR not null,
    reason VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);
