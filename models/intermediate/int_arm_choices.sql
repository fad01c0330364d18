{{ config(materialized='table') }}

with arms as (

    select
        *,
        {{ success_value() }} * success - cost as utility,
        power({{ success_value() }}, 2) * success_variance + cost_variance as utility_variance,
        success * (1 - success) / success_variance - 1 as effective_runs
    from {{ ref('arm_evidence') }}

),

-- What a router stays with unless another arm is credibly better: the arm that is worth most in all
-- runs, with a standard deviation taken off.
reference as (

    select arm
    from arms
    where level = 'everything'
        and is_comparable
    order by
        {{ ranked('utility - sqrt(utility_variance)') }} desc,
        {{ ranked('cost') }} asc,
        arm asc
    limit 1

),

incumbents as (

    select *
    from arms
    where arm in (select arm from reference)

),

compared as (

    select
        arms.*,
        incumbents.arm as reference_arm,
        incumbents.utility_variance as reference_variance,
        incumbents.effective_runs as reference_runs,
        arms.utility - incumbents.utility as gain,
        case
            when arms.arm = incumbents.arm then 0
            else sqrt(arms.utility_variance + incumbents.utility_variance)
        end as gain_sd
    from arms
    inner join incumbents
        on arms.level = incumbents.level
        and arms.repo is not distinct from incumbents.repo
        and arms.task_type is not distinct from incumbents.task_type

),

-- A gain counts if it is more than half of its standard deviation.
choices as (

    select
        *,
        {{ ranked('gain - 0.5 * gain_sd') }} as safe_gain,
        count(case when is_comparable then 1 end) over (
            partition by level, repo, task_type
        ) as comparable_arms
    from compared

),

chosen as (

    select *
    from choices
    where is_comparable
        and (safe_gain > 0 or arm = reference_arm)
    qualify
        row_number() over (
            partition by level, repo, task_type
            order by safe_gain desc, {{ ranked('cost') }} asc, arm asc
        ) = 1

),

-- The arm that would be chosen first if its gain were credible.
nearest as (

    select *
    from choices
    where is_comparable
        and {{ ranked('gain') }} > 0
        and safe_gain <= 0
    qualify
        row_number() over (
            partition by level, repo, task_type
            order by safe_gain desc, {{ ranked('cost') }} asc, arm asc
        ) = 1

),

-- Arms that may be as good as the chosen one, within what is known of both.
worth_trying as (

    select
        choices.level,
        choices.repo,
        choices.task_type,
        array_sort(array_agg(choices.arm)) as arms
    from choices
    inner join chosen
        on choices.level = chosen.level
        and choices.repo is not distinct from chosen.repo
        and choices.task_type is not distinct from chosen.task_type
    where choices.arm = chosen.arm
        or {{ ranked(
            'choices.utility + 1.645 * sqrt(choices.utility_variance + chosen.utility_variance) - chosen.utility'
        ) }} >= 0
    group by choices.level, choices.repo, choices.task_type

),

cells as (

    select distinct
        level,
        repo,
        task_type
    from arms

),

final as (

    select
        cells.level,
        cells.repo,
        cells.task_type,
        '{{ arm_kind() }}' as arm_kind,
        chosen.arm,
        chosen.model_tier,
        chosen.pool_type,
        chosen.reference_arm,
        chosen.success,
        chosen.success_low,
        chosen.success_high,
        chosen.cost,
        chosen.cost_low,
        chosen.cost_high,
        chosen.gain as gain_usd,
        chosen.gain_sd as gain_sd_usd,
        chosen.arm is null
        or (
            chosen.arm = chosen.reference_arm
            and (nearest.arm is not null or chosen.comparable_arms = 1)
        ) as is_abstained,
        nearest.arm as nearest_arm,
        {{ runs_to_settle('nearest') }} as nearest_arm_runs_needed,
        {{ reason() }} as reason,
        coalesce(worth_trying.arms, {{ empty_list('string') }}) as arms_worth_trying,
        coalesce(chosen.first_tries, 0) as runs,
        {{ success_value() }} as success_value_usd,
        '{{ policy_version('safe_gain/1') }}' as policy_version,
        {{ as_of_date() }} as as_of
    from cells
    left join chosen
        on cells.level = chosen.level
        and cells.repo is not distinct from chosen.repo
        and cells.task_type is not distinct from chosen.task_type
    left join nearest
        on chosen.arm = chosen.reference_arm
        and cells.level = nearest.level
        and cells.repo is not distinct from nearest.repo
        and cells.task_type is not distinct from nearest.task_type
    left join worth_trying
        on cells.level = worth_trying.level
        and cells.repo is not distinct from worth_trying.repo
        and cells.task_type is not distinct from worth_trying.task_type

)

select * from final
