{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='int_execution_days',
        window='evidence_window_days',
        on_schema_change='fail',
    )
}}

with executions as (

    select *
    from {{ ref('executions') }}
    where date in ({{ changed_days(ref('int_execution_days'), var('evidence_window_days')) }})

),

final as (

    select
        date,
        repo,
        task_type,
        {{ arm() }} as arm,
        {{ arm_part('model_tier') }} as model_tier,
        {{ arm_part('pool_type') }} as pool_type,
        count(*) as runs,
        count(*) filter (where attempt = 1) as first_tries,
        count(*) filter (where attempt = 1 and success) as first_successes,
        count(*) filter (where cost_source = 'reported') as costed,
        {{ exact_sum('actual_cost', "cost_source = 'reported'") }} as cost_sum,
        {{ exact_sum('actual_cost * actual_cost', "cost_source = 'reported'") }} as cost_square_sum,
        max(actual_cost) filter (where cost_source = 'reported') as cost_max,
        count(*) filter (where cost_source = 'estimate') as estimated,
        {{ exact_sum('actual_cost', "cost_source = 'estimate'") }} as estimated_cost_sum,
        count(known_duration_seconds) as timed,
        {{ exact_sum('known_duration_seconds') }} as duration_sum,
        count(quality_score) as scored,
        cast(coalesce(sum(quality_score), 0) as bigint) as quality_sum,
        max(timestamp) as last_seen,
        {{ day_fingerprint() }} as day_fingerprint
    from executions
    -- Runs of no known arm keep their rows, or a day of nothing else would look missing every time.
    group by
        date,
        repo,
        task_type,
        {{ arm() }},
        {{ arm_part('model_tier') }},
        {{ arm_part('pool_type') }}

)

select * from final
