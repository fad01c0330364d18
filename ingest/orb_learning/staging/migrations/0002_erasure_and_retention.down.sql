-- The hash cannot be turned back into the id: a part of it takes the id's place, and all of it goes
-- to the metadata, where an upgrade finds it again. Rows removed are no longer accounted for.
alter table raw.task_erased rename to task_erased_by_hash;

create table raw.task_erased (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
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
    json_object('task_hash', task_hash),
    cast(substr(task_hash, 1, 32) as uuid),
    reason,
    event_hash,
    load_id
from raw.task_erased_by_hash
union all
select
    event_id,
    schema_version,
    occurred_at,
    captured_at,
    json_object('user_hash', user_hash),
    cast(substr(user_hash, 1, 32) as uuid),
    reason,
    event_hash,
    load_id
from raw.user_erased;

drop table raw.task_erased_by_hash;
drop table raw.user_erased;
drop table ledger.erasures;
drop table ledger.removals;
drop table ledger.retention;
alter table ledger.quarantine drop column captured_at;
