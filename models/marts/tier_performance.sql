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

    select *
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
        {{ reproducible_avg('known_duration_seconds') }} as avg_duration,
        {{ reproducible_avg('known_cost') }} as avg_cost,
        avg(quality_score) as avg_quality,
        percentile_cont(0.95) within group (order by known_duration_seconds) as p95_duration,
        count(known_duration_seconds) as timed,
        {{ reproducible_sum('known_duration_seconds') }} as total_duration_seconds,
        count(known_cost) as costed,
        {{ reproducible_sum('known_cost') }} as total_cost,
        count(quality_score) as scored,
        cast(sum(quality_score) as bigint) as total_quality,
        cast(count(*) filter (where success) as double) / count(*) as success_rate,
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    group by repo, model_tier, task_type, date

)

select * from final
