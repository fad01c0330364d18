{{ config(materialized='view') }}

with sums as (

    select *
    from {{ ref('int_arm_sums') }}

),

arms as (

    select *
    from sums
    where level = 'everything'

),

types as (

    select *
    from sums
    where level = 'task_type'

),

repos as (

    select *
    from sums
    where level = 'repo'

),

-- Each arm counts about as much as any other, however often it was sent anything. About two runs,
-- of which one succeeds, stand in where there are hardly any.
overall as (

    select
        (
            {{ reproducible_sum('weighted_successes / (weighted_tries + 20)') }} + 0.05
        ) / ({{ reproducible_sum('weighted_tries / (weighted_tries + 20)') }} + 0.1) as share
    from arms

),

type_totals as (

    select
        task_type,
        {{ reproducible_sum('weighted_tries') }} as tries,
        {{ reproducible_sum('weighted_successes') }} as successes
    from types
    group by task_type

),

type_shares_0 as (

    select
        type_totals.task_type,
        (type_totals.successes + 5 * overall.share) / (type_totals.tries + 5) as share
    from type_totals
    cross join overall

),

-- Arms and task types by turns: an arm that is sent the hard types is not worse for it, and a type
-- that is sent to the good arms not easier.
{% for turn in [1, 2] %}
-- What the mix of tasks that came is expected to give, whoever gets them.
mix_{{ turn }} as (

    select
        coalesce(
            {{ reproducible_sum('type_totals.tries * type_shares.share') }}
            / nullif({{ reproducible_sum('type_totals.tries') }}, 0),
            0
        ) as share
    from type_totals
    inner join type_shares_{{ loop.index0 }} as type_shares
        on type_totals.task_type = type_shares.task_type

),

arm_results_{{ turn }} as (

    select
        types.arm,
        {{ reproducible_sum('types.weighted_tries') }} as tries,
        greatest(
            {{ reproducible_sum('types.weighted_successes') }}
            - {{ reproducible_sum('types.weighted_tries * type_shares.share') }}
            + {{ reproducible_sum('types.weighted_tries') }} * max(mix.share),
            0
        ) as successes,
        max(overall.share) as expected
    from types
    inner join type_shares_{{ loop.index0 }} as type_shares
        on types.task_type = type_shares.task_type
    cross join mix_{{ turn }} as mix
    cross join overall
    group by types.arm

),

arm_strength_{{ turn }} as (

    select
        {{ prior_strength('successes', 'tries', 'expected', usual=0.05, least=0.03) }} as strength
    from arm_results_{{ turn }}

),

arm_shares_{{ turn }} as (

    select
        arm_results.arm,
        arm_results.tries,
        arm_strength.strength,
        {{ possible(
            '(arm_results.successes + arm_strength.strength * arm_results.expected)'
            ~ ' / (arm_results.tries + arm_strength.strength)'
        ) }} as share
    from arm_results_{{ turn }} as arm_results
    cross join arm_strength_{{ turn }} as arm_strength

),

type_expectations_{{ turn }} as (

    select
        types.task_type,
        {{ reproducible_sum('types.weighted_tries * arm_shares.share') }} as successes
    from types
    inner join arm_shares_{{ turn }} as arm_shares on types.arm = arm_shares.arm
    group by types.task_type

),

type_shares_{{ turn }} as (

    select
        type_totals.task_type,
        {{ share_of(
            log_odds('overall.share')
            ~ ' + ' ~ log_odds(possible(
                '(type_totals.successes + 5 * overall.share) / (type_totals.tries + 5)'
            ))
            ~ ' - ' ~ log_odds(possible(
                '(expected.successes + 5 * overall.share) / (type_totals.tries + 5)'
            ))
        ) }} as share
    from type_totals
    inner join type_expectations_{{ turn }} as expected
        on type_totals.task_type = expected.task_type
    cross join overall

),
{% endfor %}

arm_success as (

    select
        arm,
        share,
        share * (1 - share) / (tries + strength + 1) as variance
    from arm_shares_2

),

type_priors as (

    select
        types.*,
        arm_success.variance as parent_variance,
        {{ share_of(
            log_odds('arm_success.share')
            ~ ' + ' ~ log_odds(possible('type_shares.share'))
            ~ ' - ' ~ log_odds(possible('overall.share'))
        ) }} as expected
    from types
    inner join arm_success on types.arm = arm_success.arm
    inner join type_shares_2 as type_shares on types.task_type = type_shares.task_type
    cross join overall

),

type_success as (

    {{ shrunk_success('type_priors', usual=0.02, least=0.01) }}

),

repo_totals as (

    select
        repos.repo,
        repos.task_type,
        {{ reproducible_sum('repos.weighted_tries') }} as tries,
        {{ reproducible_sum('repos.weighted_successes') }} as successes,
        {{ reproducible_sum('repos.weighted_tries * type_success.share') }} as expected_successes,
        {{ reproducible_avg('type_success.share') }} as mean_share
    from repos
    inner join type_success
        on repos.task_type = type_success.task_type
        and repos.arm = type_success.arm
    group by repos.repo, repos.task_type

),

repo_priors as (

    select
        repos.*,
        type_success.variance as parent_variance,
        {{ share_of(
            log_odds('type_success.share')
            ~ ' + ' ~ log_odds(possible(
                '(totals.successes + 10 * totals.mean_share) / (totals.tries + 10)'
            ))
            ~ ' - ' ~ log_odds(possible(
                '(totals.expected_successes + 10 * totals.mean_share) / (totals.tries + 10)'
            ))
        ) }} as expected
    from repos
    inner join repo_totals as totals
        on repos.repo = totals.repo
        and repos.task_type = totals.task_type
    inner join type_success
        on repos.task_type = type_success.task_type
        and repos.arm = type_success.arm

),

repo_success as (

    {{ shrunk_success('repo_priors', usual=0.005, least=0.0025) }}

),

final as (

    select
        'everything' as level,
        cast(null as string) as repo,
        cast(null as string) as task_type,
        arm,
        share,
        variance
    from arm_success
    union all
    select
        level,
        repo,
        task_type,
        arm,
        share,
        variance
    from type_success
    union all
    select
        level,
        repo,
        task_type,
        arm,
        share,
        variance
    from repo_success

)

select * from final
