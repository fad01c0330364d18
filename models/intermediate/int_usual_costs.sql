{{ config(materialized='table') }}

with executions as (

    select
        *,
        {{ arm() }} as arm
    from {{ ref('executions') }}
    where cost_source = 'reported'
        and actual_cost > 0
        and {{ within_window('date', var('evidence_window_days')) }}

),

types as (

    select
        task_type,
        percentile_cont(0.5) within group (order by actual_cost) as median_cost
    from executions
    group by task_type

),

arms as (

    select
        task_type,
        arm,
        count(*) as runs,
        percentile_cont(0.5) within group (order by actual_cost) as median_cost
    from executions
    where arm is not null
    group by task_type, arm

),

-- An arm that is always dear is no outlier.
final as (

    select
        arms.task_type,
        arms.arm,
        greatest(
            types.median_cost,
            case when arms.runs >= 5 then arms.median_cost else types.median_cost end
        ) as cost
    from arms
    inner join types on arms.task_type = types.task_type

)

select * from final
