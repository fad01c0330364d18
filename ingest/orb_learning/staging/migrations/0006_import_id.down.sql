-- What was undone stays in ledger.erasures, where an upgrade finds it again.
drop table raw.import_undone;
alter table ledger.quarantine drop column import_id;
alter table raw.execution_recorded drop column import_id;
