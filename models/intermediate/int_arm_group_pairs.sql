{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        days_from='int_task_groups',
        day_key='task_group',
        day_column='date',
        window='evidence_window_days',
        on_schema_change='fail',
    )
}}

with groups as (

    select *
    from {{ ref('int_task_groups') }}
    where task_group in ({{
        changed_days(ref('int_task_groups'), var('evidence_window_days'), 'task_group', 'date')
    }})

),

-- What most of an arm's first tries in the group came to; as many failures as successes are one.
arms as (

    select
        task_group,
        {{ arm() }} as arm,
        2 * count(*) filter (where success) > count(*) as success,
        {{ exact_sum('actual_cost', "cost_source = 'reported'") }} as cost_sum,
        count(*) filter (where cost_source = 'reported') as costed
    from {{ ref('executions') }}
    where attempt = 1
        and {{ arm() }} is not null
        and task_group in (select task_group from groups)
    group by task_group, {{ arm() }}

),

sizes as (

    select
        task_group,
        count(*) as arms
    from arms
    group by task_group

),

final as (

    select
        groups.task_group,
        groups.date,
        groups.task_type,
        failed.arm as failed_arm,
        other.arm as next_arm,
        other.success,
        {{ of_billionths('other.cost_sum') }} / nullif(other.costed, 0) as cost,
        -- A group is one piece of evidence, however many arms it has: all its pairs share it, those
        -- that did not fail too.
        1.0 / (sizes.arms * (sizes.arms - 1)) as weight,
        groups.fingerprint as day_fingerprint
    from groups
    left join arms as failed on groups.task_group = failed.task_group and not failed.success
    left join sizes on failed.task_group = sizes.task_group and sizes.arms > 1
    left join arms as other on failed.task_group = other.task_group and failed.arm != other.arm

)

select * from final
