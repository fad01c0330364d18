{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='int_execution_days',
        window='quality_window_days',
        on_schema_change='fail',
    )
}}

with executions as (

    select *
    from {{ ref('executions') }}
    where date in ({{ changed_days(ref('int_execution_days'), var('quality_window_days')) }})

),

final as (

    select
        repo,
        date,
        count(*) as executions,
        count(quality_score) as scored,
        count(*) filter (where success) as successful,
        avg(quality_score) as avg_quality,
        cast(count(*) filter (where success) as double) / count(*) as success_rate,
        {{ reproducible_avg('known_cost') }} as avg_cost,
        count(known_duration_seconds) as timed,
        {{ reproducible_sum('known_duration_seconds') }} as total_duration_seconds,
        count(known_cost) as costed,
        {{ reproducible_sum('known_cost') }} as total_cost,
        cast(sum(quality_score) as bigint) as total_quality,
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    group by repo, date

)

select * from final
