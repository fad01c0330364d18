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

-- A downgrade leaves the hashes in the metadata.
insert into raw.task_erased
select
    event_id,
    schema_version,
    occurred_at,
    captured_at,
    null,
    coalesce(json_extract_string(metadata, '$.task_hash'), sha256(cast(task_id as varchar))),
    reason,
    event_hash,
    load_id
from raw.task_erased_by_id
where json_extract_string(metadata, '$.user_hash') is null;

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

insert into raw.user_erased
select
    event_id,
    schema_version,
    occurred_at,
    captured_at,
    null,
    json_extract_string(metadata, '$.user_hash'),
    reason,
    event_hash,
    load_id
from raw.task_erased_by_id
where json_extract_string(metadata, '$.user_hash') is not null;

drop table raw.task_erased_by_id;

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
group by task_hash
union all
select
    'user',
    user_hash,
    min(load_id),
    false
from raw.user_erased
group by user_hash;

-- One row per table and removal: rows that were loaded and are there no more.
create table ledger.removals (
    removed_at TIMESTAMP not null,
    cause VARCHAR not null,
    table_name VARCHAR not null,
    row_count BIGINT not null
);

-- What was removed before a downgrade, which forgets why.
insert into ledger.removals
select
    now() at time zone 'UTC',
    'retention',
    table_name,
    removed
from (
    select
        'raw' as table_name,
        coalesce(sum(loaded), 0) - (
        (select count(*) from raw.routing_decision)
        + (select count(*) from raw.routing_outcome)
        + (select count(*) from raw.pool_execution_start)
        + (select count(*) from raw.pool_execution_complete)
        + (select count(*) from raw.task_completed)
        + (select count(*) from raw.execution_recorded)
        + (select count(*) from raw.pool_created)
        + (select count(*) from raw.pool_closed)
        + (select count(*) from raw.feedback)
        + (select count(*) from raw.solution_extracted)
        + (select count(*) from raw.quality_policy_adjusted)
        + (select count(*) from raw.task_erased)
        + (select count(*) from raw.user_erased)
        ) as removed
    from ledger.loads
    union all
    select
        'ledger.quarantine',
        coalesce(sum(quarantined), 0) - (select count(*) from ledger.quarantine)
    from ledger.loads
) as differences
where removed > 0;

-- One row per time that executions before a day were given up; the latest day counts.
create table ledger.retention (
    pruned_at TIMESTAMP not null,
    executions_from DATE not null
);
