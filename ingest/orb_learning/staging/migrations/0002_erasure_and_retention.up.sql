-- A tombstone names its task or user by the hash of the id, so that it does not keep the id.
alter table raw.task_erased rename to task_erased_by_id;

create table raw.task_erased (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_hash VARCHAR not null,
    reason VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

insert into raw.task_erased
select
    event_id,
    schema_version,
    occurred_at,
    captured_at,
    null,
    sha256(cast(task_id as varchar)),
    reason,
    event_hash,
    load_id
from raw.task_erased_by_id;

drop table raw.task_erased_by_id;

create table raw.user_erased (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    user_hash VARCHAR not null,
    reason VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

-- When a hook refused it; null for a line that is no event.
alter table ledger.quarantine add column captured_at TIMESTAMP;

-- One row per task or user to be forgotten; is_applied says that every trace so far is gone.
create table ledger.erasures (
    subject VARCHAR not null,
    subject_hash VARCHAR not null,
    load_id BIGINT not null,
    is_applied BOOLEAN not null
);

insert into ledger.erasures
select
    'task',
    task_hash,
    min(load_id),
    false
from raw.task_erased
group by task_hash;

-- One row per table and removal: rows that were loaded and are there no more.
create table ledger.removals (
    removed_at TIMESTAMP not null,
    cause VARCHAR not null,
    table_name VARCHAR not null,
    row_count BIGINT not null
);

-- One row per time that executions before a day were given up; the latest day counts.
create table ledger.retention (
    pruned_at TIMESTAMP not null,
    executions_from DATE not null
);
