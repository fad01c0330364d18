alter table raw.execution_recorded drop column task_group;
alter table raw.routing_decision drop column task_group;
