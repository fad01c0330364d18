{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='int_execution_days',
        window='pool_window_days',
        on_schema_change='fail',
    )
}}

with executions as (

    select
        *,
        date_trunc('hour', timestamp) as hour
    from {{ ref('executions') }}
    where date in ({{ changed_days(ref('int_execution_days'), var('pool_window_days')) }})

),

final as (

    select
        pool_type,
        repo,
        hour,
        count(*) as total_tasks,
        count(*) filter (where success) as successful_tasks,
        {{ reproducible_avg('known_duration_seconds') }} as avg_duration,
        {{ reproducible_avg('known_cost') }} as avg_cost,
        cast(count(*) filter (where success) as double) / count(*) as success_rate,
        count(known_duration_seconds) as timed,
        {{ reproducible_sum('known_duration_seconds') }} as total_duration_seconds,
        count(known_cost) as costed,
        {{ reproducible_sum('known_cost') }} as total_cost,
        count(quality_score) as scored,
        cast(sum(quality_score) as bigint) as total_quality,
        date,
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    group by pool_type, repo, hour, date

)

select * from final
