{{ config(materialized='view') }}

-- What a run of an arm in a cell is expected to cost, to take and to be scored.
with sums as (

    select *
    from {{ ref('int_arm_sums') }}

),

-- How far apart the costs of one arm and task type lie: their variance, as a part of the square of
-- their mean.
spread as (

    select
        coalesce(
            {{ reproducible_sum(
                'greatest(weighted_cost_square - power(weighted_cost, 2) / weighted_costs, 0)'
            ) }}
            / nullif({{ reproducible_sum('power(weighted_cost, 2) / weighted_costs') }}, 0),
            1
        ) as cost_spread
    from sums
    where level = 'task_type'
        and costed - cost_outliers >= 2
        and weighted_costs > 0

),

overall as (

    select
        {% for measure, runs in arm_measures().items() -%}
        {{ reproducible_sum('weighted_' ~ measure) }}
        / nullif({{ reproducible_sum('weighted_' ~ runs) }}, 0) as {{ measure }},
        {% endfor -%}
        cast(0 as double) as cost_variance
    from sums
    where level = 'everything'

),

arm_cells as (

    select
        sums.*,
        {{ measures_above('overall') }}
    from sums
    cross join overall
    where sums.level = 'everything'

),

arm_means as (

    {{ shrunk_means('arm_cells', 5) }}

),

type_cells as (

    select
        sums.*,
        {{ measures_above('arm_means') }}
    from sums
    inner join arm_means on sums.arm = arm_means.arm
    where sums.level = 'task_type'

),

type_means as (

    {{ shrunk_means('type_cells', 10) }}

),

repo_cells as (

    select
        sums.*,
        {{ measures_above('type_means') }}
    from sums
    inner join type_means on sums.task_type = type_means.task_type and sums.arm = type_means.arm
    where sums.level = 'repo'

),

repo_means as (

    {{ shrunk_means('repo_cells', 10) }}

),

final as (

    select * from arm_means
    union all
    select * from type_means
    union all
    select * from repo_means

)

select * from final
