alter table raw.execution_recorded drop column timestamp_source;
alter table raw.execution_recorded drop column decision_id;
alter table raw.task_completed drop column decision_id;
alter table raw.pool_execution_complete drop column decision_id;
alter table raw.pool_execution_start drop column decision_id;
alter table raw.routing_outcome drop column decision_id;
