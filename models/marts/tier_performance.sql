{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ drop_stale_days(var('tier_window_days')) }}",
        post_hook="{{ named_index('idx_tier_performance_lookup', ['repo', 'model_tier', 'task_type', 'date']) }}",
    )
}}
-- depends_on: {{ ref('int_execution_days') }}

with executions as (

    select
        *,
        {{ known_cost() }} as known_cost
    from ({{ executions_of_missing_days(var('tier_window_days')) }}) as missing_days

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
