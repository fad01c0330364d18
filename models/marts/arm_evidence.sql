with sums as (

    select *
    from {{ ref('int_arm_sums') }}

),

success as (

    select *
    from {{ ref('int_arm_success') }}

),

means as (

    select *
    from {{ ref('int_arm_means') }}

),

comparable as (

    select arm
    from sums
    where level = 'everything'
        and first_tries >= {{ whole_var('evidence_min_tries') }}
        and costed - cost_outliers >= {{ whole_var('evidence_min_costs') }}

),

final as (

    select
        sums.level,
        sums.repo,
        sums.task_type,
        sums.arm,
        sums.arm_kind,
        sums.model_tier,
        sums.pool_type,
        sums.runs,
        sums.first_tries,
        sums.first_successes,
        sums.weighted_tries as effective_tries,
        success.share as success,
        {{ share_bound('success.share', 'success.variance', -1.96) }} as success_low,
        {{ share_bound('success.share', 'success.variance', 1.96) }} as success_high,
        success.variance as success_variance,
        sums.costed,
        cast(sums.costed as double) / nullif(sums.runs, 0) as costed_share,
        sums.cost_outliers,
        sums.estimated,
        means.cost,
        {{ cost_bound('means.cost', 'means.cost_variance', -1.96) }} as cost_low,
        {{ cost_bound('means.cost', 'means.cost_variance', 1.96) }} as cost_high,
        means.cost_variance,
        means.duration as duration_seconds,
        means.quality,
        means.cost is not null
        and sums.arm in (select arm from comparable) as is_comparable,
        sums.last_seen,
        cast({{ as_of_date() }} as date) as as_of
    from sums
    inner join success
        on sums.level = success.level
        and sums.repo is not distinct from success.repo
        and sums.task_type is not distinct from success.task_type
        and sums.arm = success.arm
    inner join means
        on sums.level = means.level
        and sums.repo is not distinct from means.repo
        and sums.task_type is not distinct from means.task_type
        and sums.arm = means.arm

)

select * from final
