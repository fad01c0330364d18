{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ drop_stale_days(var('quality_window_days')) }}",
    )
}}
-- depends_on: {{ ref('int_execution_days') }}

with executions as (

    select
        *,
        {{ known_cost() }} as known_cost
    from ({{ executions_of_missing_days(var('quality_window_days')) }}) as missing_days

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
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    group by repo, date

)

select * from final
