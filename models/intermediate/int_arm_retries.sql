{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='int_execution_days',
        window='evidence_window_days',
        on_schema_change='fail',
    )
}}

with days as (

    select *
    from {{ ref('int_execution_days') }}
    where date in ({{ changed_days(ref('int_execution_days'), var('evidence_window_days')) }})

),

retries as (

    select
        *,
        {{ arm() }} as arm
    from {{ ref('executions') }}
    where attempt > 1
        and date in (select date from days)

),

-- Of attempts, which stay as they are when the first of a task leaves what executions hold.
attempts as (

    select
        task_id,
        success,
        ended_at,
        {{ arm() }} as arm,
        lead(attempt) over (partition by task_id order by attempt) as next_attempt
    from {{ ref('int_attempts') }}
    where task_id in (select parent_task_id from retries)

),

final as (

    select
        days.date,
        retries.task_id,
        retries.task_type,
        failed.arm as failed_arm,
        retries.arm as next_arm,
        retries.success,
        case when retries.cost_source = 'reported' then retries.actual_cost end as cost,
        days.fingerprint as day_fingerprint
    from days
    left join retries
        on days.date = retries.date
    -- One that was decided before the other had failed tells nothing of tries after failures.
    left join attempts as failed
        on retries.parent_task_id = failed.task_id
        and retries.attempt = failed.next_attempt
        and retries.timestamp >= failed.ended_at
        and not failed.success

)

select * from final
