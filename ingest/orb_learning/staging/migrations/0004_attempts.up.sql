alter table raw.routing_outcome add column decision_id UUID;
alter table raw.pool_execution_start add column decision_id UUID;
alter table raw.pool_execution_complete add column decision_id UUID;
alter table raw.task_completed add column decision_id UUID;
alter table raw.execution_recorded add column decision_id UUID;
alter table raw.execution_recorded add column timestamp_source VARCHAR;
