alter table raw.routing_decision add column task_group VARCHAR;
alter table raw.execution_recorded add column task_group VARCHAR;
