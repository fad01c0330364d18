{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='int_execution_days',
        window='pattern_window_days',
        on_schema_change='fail',
    )
}}

with executions as (

    select *
    from {{ ref('executions') }}
    where date in ({{ changed_days(ref('int_execution_days'), var('pattern_window_days')) }})

),

final as (

    select
        date,
        repo,
        solution_summary,
        task_type,
        count(*) as usage_count,
        count(*) filter (where success) as success_count,
        cast(coalesce(sum(quality_score), 0) as bigint) as quality_sum,
        count(quality_score) as quality_count,
        min(timestamp) as first_seen,
        max(timestamp) as last_seen,
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    -- A day without any solution keeps one row, or it would look missing at every run.
    group by date, repo, solution_summary, task_type

)

select * from final
