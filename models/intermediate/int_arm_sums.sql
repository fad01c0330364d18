{{ config(materialized='table') }}

with days as (

    select *
    from {{ ref('int_arm_days') }}
    where arm is not null
        and {{ within_window('date', var('evidence_window_days')) }}

),

-- Of a day without a cost that is far above what is usual no run is read.
suspect as (

    select distinct days.date
    from {{ ref('int_arm_days') }} as days
    inner join {{ ref('int_usual_costs') }} as usual
        on days.task_type = usual.task_type
        and days.arm = usual.arm
    where days.cost_max > {{ cost_outlier() }} * usual.cost
        and {{ within_window('days.date', var('evidence_window_days')) }}

),

executions as (

    select
        *,
        {{ arm() }} as arm
    from {{ ref('executions') }}
    where cost_source = 'reported'
        and date in (select date from suspect)

),

-- Whole billionths: a product of whole numbers is exact, and added up much faster.
weights as (

    select
        date,
        cast(round(1e9 * {{ evidence_weight('date') }}) as bigint) as weight
    from (select distinct date from {{ ref('int_arm_days') }}) as dates

),

-- One run that cost far more than all others would decide what its arm costs.
outliers as (

    select
        executions.date,
        executions.repo,
        executions.task_type,
        executions.arm,
        count(*) as costed,
        {{ exact_sum('executions.actual_cost') }} as cost_sum,
        {{ exact_sum('executions.actual_cost * executions.actual_cost') }} as cost_square_sum
    from executions
    inner join {{ ref('int_usual_costs') }} as usual
        on executions.task_type = usual.task_type
        and executions.arm = usual.arm
    where executions.actual_cost > {{ cost_outlier() }} * usual.cost
    group by executions.date, executions.repo, executions.task_type, executions.arm

),

kept as (

    select
        days.*,
        coalesce(outliers.costed, 0) as cost_outliers,
        days.costed - coalesce(outliers.costed, 0) as kept_costs,
        {{ of_billionths('days.cost_sum - coalesce(outliers.cost_sum, 0)') }} as cost,
        {{ of_billionths('days.cost_square_sum - coalesce(outliers.cost_square_sum, 0)') }}
            as cost_square,
        {{ of_billionths('days.duration_sum') }} as duration,
        weights.weight
    from days
    inner join weights on days.date = weights.date
    left join outliers
        on days.date = outliers.date
        and days.repo = outliers.repo
        and days.task_type = outliers.task_type
        and days.arm = outliers.arm

),

{%- set counts = [
    'runs', 'first_tries', 'first_successes', 'costed', 'cost_outliers', 'estimated', 'timed', 'scored',
] %}
{%- set weighted = {
    'first_tries': 'tries', 'first_successes': 'successes', 'kept_costs': 'costs', 'cost': 'cost',
    'cost_square': 'cost_square', 'timed': 'durations', 'duration': 'duration', 'scored': 'scores',
    'quality_sum': 'quality',
} %}

by_repo as (

    select
        repo,
        task_type,
        arm,
        {%- for count in counts %}
        cast(sum({{ count }}) as bigint) as {{ count }},
        {%- endfor %}
        {%- for value, name in weighted.items() %}
        {%- set product = 'weight * ' ~ value %}
        {%- if value in ('cost', 'cost_square', 'duration') %}
        {%- set product = 'cast(round(' ~ product ~ ') as decimal(38, 0))' %}
        {%- endif %}
        {{ of_billionths('sum(' ~ product ~ ')') }} as weighted_{{ name }},
        {%- endfor %}
        max(model_tier) as model_tier,
        max(pool_type) as pool_type,
        max(last_seen) as last_seen
    from kept
    group by repo, task_type, arm

),

summed as (

    select
        case
            when grouping(repo) = 0 then 'repo'
            when grouping(task_type) = 0 then 'task_type'
            else 'everything'
        end as level,
        repo,
        task_type,
        arm,
        {%- for count in counts %}
        cast(sum({{ count }}) as bigint) as {{ count }},
        {%- endfor %}
        {%- for name in weighted.values() %}
        {{ reproducible_sum('weighted_' ~ name) }} as weighted_{{ name }},
        {%- endfor %}
        max(model_tier) as model_tier,
        max(pool_type) as pool_type,
        max(last_seen) as last_seen
    from by_repo
    group by grouping sets ((repo, task_type, arm), (task_type, arm), (arm))

),

arms as (

    select
        arm,
        model_tier,
        pool_type
    from summed
    where level = 'everything'
    order by runs desc, arm asc
    limit {{ max_arms() }}

),

cells as (

    select distinct
        level,
        repo,
        task_type
    from summed

),

-- Every arm in every cell, tried there or not: what is known of it elsewhere holds there too.
final as (

    select
        cells.level,
        cells.repo,
        cells.task_type,
        arms.arm,
        '{{ arm_kind() }}' as arm_kind,
        arms.model_tier,
        arms.pool_type,
        {%- for count in counts %}
        coalesce(summed.{{ count }}, 0) as {{ count }},
        {%- endfor %}
        {%- for name in weighted.values() %}
        coalesce(summed.weighted_{{ name }}, 0.0) as weighted_{{ name }},
        {%- endfor %}
        summed.last_seen
    from cells
    cross join arms
    left join summed
        on cells.level = summed.level
        and cells.repo is not distinct from summed.repo
        and cells.task_type is not distinct from summed.task_type
        and arms.arm = summed.arm

)

select * from final
