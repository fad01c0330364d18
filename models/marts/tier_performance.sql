{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='int_execution_days',
        window='tier_window_days',
        on_schema_change='fail',
        post_hook="{{ named_index('idx_tier_performance_lookup', ['repo', 'model_tier', 'task_type', 'date']) }}",
    )
}}

with executions as (

    select
        *,
        {{ known_cost() }} as known_cost
    from {{ ref('executions') }}
    where date in ({{ changed_days(ref('int_execution_days'), var('tier_window_days')) }})

),

final as (

    select
        repo,
        model_tier,
        task_type,
        date,
        count(*) as total_executions,
        count(*) filter (where success) as successful_count,
        {{ reproducible_avg('duration_seconds') }} as avg_duration,
        {{ reproducible_avg('known_cost') }} as avg_cost,
        avg(quality_score) as avg_quality,
        percentile_cont(0.95) within group (order by duration_seconds) as p95_duration,
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    group by repo, model_tier, task_type, date

)

select * from final
