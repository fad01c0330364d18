{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ drop_stale_days(var('pool_window_days')) }}",
    )
}}
-- depends_on: {{ ref('int_execution_days') }}

with executions as (

    select
        *,
        date_trunc('hour', timestamp) as hour,
        {{ known_cost() }} as known_cost
    from ({{ executions_of_missing_days(var('pool_window_days')) }}) as missing_days

),

final as (

    select
        pool_type,
        repo,
        hour,
        count(*) as total_tasks,
        count(*) filter (where success) as successful_tasks,
        {{ reproducible_avg('duration_seconds') }} as avg_duration,
        {{ reproducible_avg('known_cost') }} as avg_cost,
        cast(count(*) filter (where success) as double) / count(*) as success_rate,
        date,
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    group by pool_type, repo, hour, date

)

select * from final
