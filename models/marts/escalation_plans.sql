with arms as (

    select *
    from {{ ref('arm_evidence') }}
    where is_comparable
        and level != 'repo'

),

pairs as (

    select *
    from {{ ref('arm_pair_evidence') }}

),

-- What a success may be worth, from a third of a USD to a thousand: each makes one arm the best
-- single one.
worths as (

    {% for step in range(36) -%}
    select power(cast(10 as double), {{ step / 10 - 0.5 }}) as usd
    {{ 'union all' if not loop.last }}
    {% endfor -%}

),

ranked_arms as (

    select
        level,
        task_type,
        arm,
        row_number() over (
            partition by level, task_type
            order by {{ ranked('cost / greatest(success, 0.05)') }}, arm
        ) as cheapest,
        row_number() over (
            partition by level, task_type
            order by {{ ranked('success') }} desc, {{ ranked('cost') }}, arm
        ) as most_successful
    from arms

),

best_single as (

    select distinct
        arms.level,
        arms.task_type,
        arms.arm
    from arms
    cross join worths
    qualify
        row_number() over (
            partition by arms.level, arms.task_type, worths.usd
            order by
                {{ ranked('worths.usd * arms.success - arms.cost') }} desc,
                {{ ranked('arms.cost') }} asc,
                arms.arm asc
        ) = 1

),

-- Plans are made of few arms: those that are cheap, those that succeed, those that are best alone
-- at some worth.
candidates as (

    select arms.*
    from arms
    inner join ranked_arms
        on arms.level = ranked_arms.level
        and arms.task_type is not distinct from ranked_arms.task_type
        and arms.arm = ranked_arms.arm
    left join best_single
        on arms.level = best_single.level
        and arms.task_type is not distinct from best_single.task_type
        and arms.arm = best_single.arm
    where best_single.arm is not null
        or ranked_arms.cheapest <= 5
        or ranked_arms.most_successful <= 3
    qualify
        row_number() over (
            partition by arms.level, arms.task_type
            order by
                case
                    when best_single.arm is not null then 0
                    when ranked_arms.cheapest <= 5 then 1
                    else 2
                end,
                ranked_arms.cheapest
        ) <= 12

),

-- Another step, or none.
options as (

    select
        level,
        task_type,
        arm,
        success_variance,
        cost_variance / nullif(power(cost, 2), 0) as cost_spread
    from candidates
    union all
    select distinct
        level,
        task_type,
        cast(null as string) as arm,
        cast(null as double) as success_variance,
        cast(null as double) as cost_spread
    from candidates

),

-- Every order of one to three arms. A later step counts as after the failures before it; a third
-- was rarely seen after two, so that it takes the worse of both, and a little off.
plans as (

    select
        first_arms.level,
        first_arms.task_type,
        first_arms.arm as first_arm,
        second_arms.arm as second_arm,
        third_arms.arm as third_arm,
        1 - first_arms.success as failure_1,
        1 - coalesce(after_first.success, 0) as failure_2,
        1 - coalesce({{ share_of(
            'least(' ~ log_odds('third_after_first.success') ~ ', '
            ~ log_odds('third_after_second.success') ~ ') - 0.6'
        ) }}, 0) as failure_3,
        first_arms.cost as cost_1,
        coalesce(after_first.cost, 0) as cost_2,
        coalesce(
            1.15 * greatest(third_after_first.cost, third_after_second.cost), 0
        ) as cost_3,
        first_arms.success_variance as variance_1,
        first_arms.cost_variance as cost_variance_1,
        coalesce(second_arms.cost_spread, 0) as cost_spread_2,
        coalesce(third_arms.cost_spread, 0) as cost_spread_3,
        after_first.effective_tries as tries_2,
        case when after_first.log_odds_drop > 0 then 0 else second_arms.success_variance end
            as least_variance_2,
        least(third_after_first.effective_tries, third_after_second.effective_tries) as tries_3,
        case
            when second_arms.arm is null then 0
            when third_arms.arm is null then after_first.runs
            else least(after_first.runs, third_after_first.runs, third_after_second.runs)
        end as pair_runs,
        case
            when second_arms.arm is null then 'none'
            when after_first.dependence = 'measured'
                and coalesce(third_after_first.dependence, 'measured') = 'measured'
                and coalesce(third_after_second.dependence, 'measured') = 'measured'
                then 'measured'
            when after_first.dependence = 'assumed'
                or third_after_first.dependence = 'assumed'
                or third_after_second.dependence = 'assumed'
                then 'assumed'
            else 'pooled'
        end as dependence
    from candidates as first_arms
    inner join options as second_arms
        on first_arms.level = second_arms.level
        and first_arms.task_type is not distinct from second_arms.task_type
        and first_arms.arm is distinct from second_arms.arm
    inner join options as third_arms
        on second_arms.level = third_arms.level
        and second_arms.task_type is not distinct from third_arms.task_type
        and (
            third_arms.arm is null
            or (
                second_arms.arm is not null
                and third_arms.arm not in (first_arms.arm, second_arms.arm)
            )
        )
    {%- for name, failed, next_arm in [
        ('after_first', 'first_arms', 'second_arms'),
        ('third_after_first', 'first_arms', 'third_arms'),
        ('third_after_second', 'second_arms', 'third_arms'),
    ] %}
    left join pairs as {{ name }}
        on {{ failed }}.level = {{ name }}.level
        and {{ failed }}.task_type is not distinct from {{ name }}.task_type
        and {{ failed }}.arm = {{ name }}.failed_arm
        and {{ next_arm }}.arm = {{ name }}.next_arm
    {%- endfor %}

),

valued as (

    select
        *,
        1 - failure_1 * failure_2 * failure_3 as success,
        cost_1 + failure_1 * cost_2 + failure_1 * failure_2 * cost_3 as cost,
        1
        + case when second_arm is not null then failure_1 else 0 end
        + case when third_arm is not null then failure_1 * failure_2 else 0 end
            as expected_attempts,
        coalesce(
            greatest((1 - failure_2) * failure_2 / (tries_2 + 21), least_variance_2), 0
        ) as variance_2,
        coalesce((1 - failure_3) * failure_3 / (tries_3 + 21), 0) as variance_3
    from plans

),

best as (

    select
        *,
        variance_1 * power(failure_2 * failure_3, 2)
        + variance_2 * power(failure_1 * failure_3, 2)
        + variance_3 * power(failure_1 * failure_2, 2) as success_variance,
        cost_variance_1
        + power(failure_1 * cost_2, 2) * cost_spread_2
        + power(failure_1 * failure_2 * cost_3, 2) * cost_spread_3
        + power(cost_2 + failure_2 * cost_3, 2) * variance_1
        + power(failure_1 * cost_3, 2) * variance_2 as cost_variance
    from valued
    qualify
        row_number() over (
            partition by level, task_type
            order by
                {{ ranked(success_value() ~ ' * success - cost') }} desc,
                {{ ranked('cost') }} asc,
                first_arm asc,
                second_arm asc nulls first,
                third_arm asc nulls first
        ) = 1

),

cells as (

    select distinct
        level,
        task_type,
        arm_kind,
        as_of
    from {{ ref('arm_evidence') }}
    where level != 'repo'

),

final as (

    select
        cells.level,
        cells.task_type,
        cells.arm_kind,
        case
            when best.first_arm is null then {{ empty_list('string') }}
            when best.second_arm is null then {{ list_of('best.first_arm') }}
            when best.third_arm is null then {{ list_of('best.first_arm, best.second_arm') }}
            else {{ list_of('best.first_arm, best.second_arm, best.third_arm') }}
        end as arms,
        best.success,
        {{ share_bound('best.success', 'best.success_variance', -1.96) }} as success_low,
        {{ share_bound('best.success', 'best.success_variance', 1.96) }} as success_high,
        best.cost,
        {{ cost_bound('best.cost', 'best.cost_variance', -1.96) }} as cost_low,
        {{ cost_bound('best.cost', 'best.cost_variance', 1.96) }} as cost_high,
        best.expected_attempts,
        best.pair_runs,
        best.dependence,
        {{ success_value() }} as success_value_usd,
        '{{ policy_version('escalation/1') }}' as policy_version,
        cells.as_of
    from cells
    left join best
        on cells.level = best.level
        and cells.task_type is not distinct from best.task_type

)

select * from final
