{{
    config(
        materialized='incremental',
        incremental_strategy='replace_tasks',
        task_key='coalesce(parent_task_id, task_id)',
        changed_from='int_attempts',
        on_schema_change='fail',
        meta={'published': {
            'key': 'coalesce(parent_task_id, task_id)', 'order': 'timestamp',
            'source': 'int_attempts', 'source_key': 'task_id', 'oldest': 'first_load_id',
        }},
        post_hook=[
            "{{ named_index('idx_executions_repo_task', ['repo', 'task_type', 'timestamp']) }}",
            "{{ named_index('idx_executions_tier_success', ['model_tier', 'success', 'timestamp']) }}",
            "{{ named_index('idx_executions_pool_duration', ['pool_type', 'success', 'duration_seconds']) }}",
            "{{ named_index('idx_executions_quality_trend', ['repo', 'quality_score', 'timestamp']) }}",
        ],
    )
}}
-- In the order of time, so that a reader of some days skips the others; it also compresses better.

with attempts as (

    select *
    from {{ ref('int_attempts') }}
    where success is not null
        {% if is_incremental() %}
        and {{ loaded_since(this) }}
        {% endif %}

),

loads as (

    select
        load_id,
        loaded_at
    from {{ source('ledger', 'loads') }}

),

measured as (

    select
        attempts.*,
        loads.loaded_at,
        -- Two hosts' clocks that disagree say nothing.
        coalesce(
            attempts.duration_seconds,
            case
                when attempts.started_at <= attempts.ended_at
                    then {{ seconds_between('attempts.started_at', 'attempts.ended_at') }}
            end
        ) as known_duration_seconds
    from attempts
    inner join loads on attempts.load_id = loads.load_id

),

described as (

    select
        {{ attempt_task_id('task_id', 'attempt') }} as task_id,
        coalesce(
            routed_at,
            decided_at,
            started_at,
            {{ seconds_before('ended_at', 'coalesce(known_duration_seconds, 0)') }}
        ) as timestamp,
        coalesce(task_type, 'unknown') as task_type,
        coalesce(task_description, '') as task_description,
        coalesce(repo, 'unknown') as repo,
        coalesce(file_count, 0) as file_count,
        coalesce(estimated_tokens, 0) as estimated_tokens,
        coalesce(model_tier, 'unknown') as model_tier,
        coalesce(pool_type, 'unknown') as pool_type,
        swarm_topology,
        coalesce(routing_confidence, 0.5) as routing_confidence,
        coalesce(complexity_score, 50) as complexity_score,
        success,
        coalesce(known_duration_seconds, 0) as duration_seconds,
        known_duration_seconds,
        case
            when known_duration_seconds is null then 'unknown'
            else coalesce(duration_source, 'measured')
        end as duration_source,
        quality_score,
        coalesce(cost_estimate, 0) as cost_estimate,
        coalesce(actual_cost, cost_estimate, 0) as actual_cost,
        coalesce(actual_cost, cost_estimate) as known_cost,
        error_type,
        error_message,
        user_accepted,
        user_rating,
        peak_memory_mb,
        cpu_time_seconds,
        solution_summary,
        coalesce(metadata, {{ cast("'{}'", 'json') }}) as metadata,
        loaded_at as uploaded_at,
        case
            when actual_cost is not null then 'reported'
            when cost_estimate is not null then 'estimate'
            else 'unknown'
        end as cost_source,
        policy_version,
        propensity,
        candidates,
        task_group,
        {{ nulls_among({
            'task_type': 'task_type',
            'task_description': 'task_description',
            'repo': 'repo',
            'file_count': 'file_count',
            'estimated_tokens': 'estimated_tokens',
            'model_tier': 'model_tier',
            'pool_type': 'pool_type',
            'routing_confidence': 'routing_confidence',
            'complexity_score': 'complexity_score',
            'duration_seconds': 'known_duration_seconds',
            'cost_estimate': 'cost_estimate',
            'actual_cost': 'actual_cost',
        }) }} as defaulted,
        case when attempt > 1 then task_id end as parent_task_id,
        attempt,
        is_ambiguous as attempt_is_ambiguous,
        load_id
    from measured

),

final as (

    select
        described.*,
        {{ content_hash('described') }} as content_hash,
        cast(described.timestamp as date) as date
    from described
    where {{ is_retained('described.timestamp') }}

)

select * from final
order by timestamp
