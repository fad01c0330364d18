drop schema raw cascade;
drop table ledger.quarantine;
drop table ledger.segments;
drop table ledger.loads;
