create schema raw;

create table raw.routing_decision (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
    attempt INTEGER,
    task_type VARCHAR not null,
    task_description VARCHAR,
    repo VARCHAR not null,
    file_count INTEGER not null,
    estimated_tokens INTEGER not null,
    model_tier VARCHAR not null,
    pool_type VARCHAR,
    swarm_topology VARCHAR,
    routing_confidence DOUBLE,
    complexity_score INTEGER not null,
    cost_estimate DOUBLE,
    policy_version VARCHAR,
    propensity DOUBLE,
    candidates JSON,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.routing_outcome (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
    attempt INTEGER,
    success BOOLEAN not null,
    duration_seconds DOUBLE,
    quality_score INTEGER,
    cost_estimate DOUBLE,
    actual_cost DOUBLE,
    error_type VARCHAR,
    error_message VARCHAR,
    peak_memory_mb DOUBLE,
    cpu_time_seconds DOUBLE,
    solution_summary VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.pool_execution_start (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
    attempt INTEGER,
    pool_id VARCHAR,
    pool_type VARCHAR,
    swarm_topology VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.pool_execution_complete (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
    attempt INTEGER,
    success BOOLEAN not null,
    duration_seconds DOUBLE,
    quality_score INTEGER,
    cost_estimate DOUBLE,
    actual_cost DOUBLE,
    error_type VARCHAR,
    error_message VARCHAR,
    peak_memory_mb DOUBLE,
    cpu_time_seconds DOUBLE,
    solution_summary VARCHAR,
    pool_id VARCHAR,
    pool_type VARCHAR,
    swarm_topology VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.task_completed (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
    attempt INTEGER,
    success BOOLEAN not null,
    duration_seconds DOUBLE,
    quality_score INTEGER,
    cost_estimate DOUBLE,
    actual_cost DOUBLE,
    error_type VARCHAR,
    error_message VARCHAR,
    peak_memory_mb DOUBLE,
    cpu_time_seconds DOUBLE,
    solution_summary VARCHAR,
    pool_id VARCHAR,
    pool_type VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.execution_recorded (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
    attempt INTEGER,
    success BOOLEAN not null,
    duration_seconds DOUBLE,
    quality_score INTEGER,
    cost_estimate DOUBLE,
    actual_cost DOUBLE,
    error_type VARCHAR,
    error_message VARCHAR,
    peak_memory_mb DOUBLE,
    cpu_time_seconds DOUBLE,
    solution_summary VARCHAR,
    timestamp TIMESTAMP not null,
    task_type VARCHAR not null,
    task_description VARCHAR not null,
    repo VARCHAR not null,
    file_count INTEGER not null,
    estimated_tokens INTEGER not null,
    model_tier VARCHAR not null,
    pool_type VARCHAR not null,
    swarm_topology VARCHAR,
    routing_confidence DOUBLE not null,
    complexity_score INTEGER not null,
    policy_version VARCHAR,
    propensity DOUBLE,
    candidates JSON,
    user_accepted BOOLEAN,
    user_rating INTEGER,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.pool_created (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    pool_id VARCHAR not null,
    pool_type VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.pool_closed (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    pool_id VARCHAR not null,
    pool_type VARCHAR,
    reason VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.feedback (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    task_id UUID not null,
    attempt INTEGER,
    feedback_id UUID not null,
    feedback_type VARCHAR not null,
    rating INTEGER,
    comment VARCHAR,
    user_id VARCHAR,
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.solution_extracted (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    pattern_id UUID not null,
    task_context VARCHAR not null,
    solution_summary VARCHAR not null,
    success_rate DOUBLE not null,
    usage_count INTEGER not null,
    repos_used_in VARCHAR[] not null,
    embedding FLOAT[],
    event_hash UUID not null,
    load_id BIGINT not null
);

create table raw.quality_policy_adjusted (
    event_id UUID not null,
    schema_version INTEGER not null,
    occurred_at TIMESTAMP not null,
    captured_at TIMESTAMP not null,
    metadata JSON,
    policy_id UUID not null,
    repo VARCHAR not null,
    project_maturity VARCHAR not null,
    coverage_threshold DOUBLE not null,
    strictness_level VARCHAR not null,
    adjustment_reason VARCHAR not null,
    event_hash UUID not null,
    load_id BIGINT not null
);

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

-- One row per load: what it read and where it went.
create table ledger.loads (
    load_id BIGINT primary key,
    loaded_at TIMESTAMP not null,
    release VARCHAR not null,
    lines BIGINT not null,
    loaded BIGINT not null,
    duplicates BIGINT not null,
    quarantined BIGINT not null
);

-- One row per spool segment: how far it is loaded. This, not the file, decides what is new.
create table ledger.segments (
    segment VARCHAR primary key,
    bytes_read BIGINT not null,
    lines BIGINT not null,
    loaded BIGINT not null,
    duplicates BIGINT not null,
    quarantined BIGINT not null,
    is_complete BOOLEAN not null,
    first_load_id BIGINT not null,
    last_load_id BIGINT not null
);

-- One row per line that could not be loaded, with the reason and the line itself.
create table ledger.quarantine (
    quarantine_id UUID primary key,
    load_id BIGINT not null,
    segment VARCHAR not null,
    byte_offset BIGINT not null,
    byte_length BIGINT not null,
    claimed_type VARCHAR,
    reason VARCHAR not null,
    line BLOB not null
);
