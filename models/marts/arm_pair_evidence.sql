with arms as (

    select *
    from {{ ref('arm_evidence') }}
    where is_comparable
        and level != 'repo'

),

anywhere as (

    select *
    from arms
    where level = 'everything'

),

-- A second try of one task, or two arms that tried the same problem each for itself.
seen as (

    select
        task_type,
        failed_arm,
        next_arm,
        success,
        cost,
        {{ evidence_weight('date') }} as weight,
        {{ evidence_weight('date') }} as pooled_weight
    from {{ ref('int_arm_retries') }}
    where failed_arm != next_arm
        and {{ within_window('date', var('evidence_window_days')) }}
    union all
    select
        task_type,
        failed_arm,
        next_arm,
        success,
        cost,
        {{ evidence_weight('date') }} as weight,
        {{ evidence_weight('date') }} * weight as pooled_weight
    from {{ ref('int_arm_group_pairs') }}
    where failed_arm is not null
        and {{ within_window('date', var('evidence_window_days')) }}

),

usual as (

    select *
    from {{ ref('int_usual_costs') }}

),

known as (

    select
        seen.task_type,
        seen.failed_arm,
        seen.next_arm,
        seen.weight,
        seen.pooled_weight,
        case when seen.success then 1 else 0 end as success,
        coalesce(by_type.success, anywhere.success) as usual_success,
        case when seen.cost <= {{ cost_outlier() }} * usual.cost then seen.cost end as cost,
        coalesce(by_type.cost, anywhere.cost) as usual_cost
    from seen
    inner join anywhere on seen.next_arm = anywhere.arm
    inner join anywhere as failed on seen.failed_arm = failed.arm
    left join arms as by_type on seen.task_type = by_type.task_type and seen.next_arm = by_type.arm
    left join usual on seen.task_type = usual.task_type and seen.next_arm = usual.arm

),

{%- set sums = {
    'tries': 'weight',
    'successes': 'weight * success',
    'usual_successes': 'weight * usual_success',
    'pooled_tries': 'pooled_weight',
    'pooled_successes': 'pooled_weight * success',
    'pooled_usual': 'pooled_weight * usual_success',
    'costs': 'case when cost is not null then weight else 0 end',
    'cost': 'weight * coalesce(cost, 0)',
    'usual_cost': 'case when cost is not null then weight * usual_cost else 0 end',
} %}

sums as (

    select
        task_type,
        failed_arm,
        next_arm,
        {%- for name, value in sums.items() %}
        {{ reproducible_sum(value) }} as {{ name }},
        {%- endfor %}
        count(*) as runs
    from known
    group by grouping sets ((task_type, failed_arm, next_arm), (failed_arm, next_arm))

),

-- How far a failure lowers the log odds of the next arm, all pairs together.
pooled as (

    select
        tries as pooled_runs,
        (
            tries * least(greatest(coalesce(
                {{ log_odds(bounded_share('usual_successes / nullif(tries, 0)')) }}
                - {{ log_odds(bounded_share('successes / nullif(tries, 0)')) }}, 0
            ), 0), 4)
            + 20 * 1.3
        ) / (tries + 20) as usual_drop
    from (
        select
            coalesce({{ reproducible_sum('pooled_tries') }}, 0) as tries,
            {{ reproducible_sum('pooled_successes') }} as successes,
            {{ reproducible_sum('pooled_usual') }} as usual_successes
        from sums
        where task_type is null
    ) as totals

),

pairs as (

    select
        arms.level,
        arms.task_type,
        arms.arm_kind,
        arms.as_of,
        failed.arm as failed_arm,
        arms.arm as next_arm,
        arms.success as alone,
        arms.success_variance as alone_variance,
        arms.cost as cost_alone,
        {%- for name in sums %}
        coalesce(sums.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        coalesce(sums.runs, 0) as runs
    from arms
    inner join anywhere as failed on arms.arm != failed.arm
    left join sums
        on arms.task_type is not distinct from sums.task_type
        and failed.arm = sums.failed_arm
        and arms.arm = sums.next_arm

),

-- Beside what each task type promised: a hard type is not to be taken for arms that fail together.
over_all as (

    select
        pairs.*,
        {{ log_odds_drop(
            bounded_share(
                'coalesce(pairs.usual_successes / nullif(pairs.tries, 0), pairs.alone)'
            ),
            'pooled.usual_drop',
            'pairs.'
        ) }} as log_odds_drop,
        coalesce(
            (pairs.cost + 12 * pairs.cost_alone)
            / nullif(pairs.usual_cost + 10 * pairs.cost_alone, 0),
            1
        ) as cost_factor,
        case
            when pairs.tries >= 20 then 'measured'
            when pooled.pooled_runs >= 20 then 'pooled'
            else 'assumed'
        end as dependence
    from pairs
    cross join pooled
    where pairs.level = 'everything'

),

by_type as (

    select
        pairs.*,
        {{ log_odds_drop('pairs.alone', 'over_all.log_odds_drop', 'pairs.') }} as log_odds_drop,
        coalesce(
            (pairs.cost + 10 * over_all.cost_factor * pairs.cost_alone)
            / nullif((pairs.costs + 10) * pairs.cost_alone, 0), 1
        ) as cost_factor,
        over_all.dependence,
        over_all.runs as runs_of_all_types,
        over_all.tries as tries_of_all_types
    from pairs
    inner join over_all
        on pairs.failed_arm = over_all.failed_arm
        and pairs.next_arm = over_all.next_arm
    where pairs.level = 'task_type'
    union all
    select
        *,
        runs as runs_of_all_types,
        tries as tries_of_all_types
    from over_all

),

conditional as (

    select
        *,
        {{ share_of(log_odds('alone') ~ ' - log_odds_drop') }} as success
    from by_type

),

-- An arm that did no worse after failures is believed to do as well as alone, and no surer.
uncertain as (

    select
        *,
        greatest(
            success * (1 - success) / (tries_of_all_types + 21),
            case when log_odds_drop > 0 then 0 else alone_variance end
        ) as success_variance
    from conditional

),

final as (

    select
        level,
        task_type,
        arm_kind,
        failed_arm,
        next_arm,
        runs_of_all_types as runs,
        tries_of_all_types as effective_tries,
        dependence,
        log_odds_drop,
        success,
        {{ share_bound('success', 'success_variance', -1.96) }} as success_low,
        {{ share_bound('success', 'success_variance', 1.96) }} as success_high,
        cost_factor,
        cost_factor * cost_alone as cost,
        as_of
    from uncertain

)

select * from final
