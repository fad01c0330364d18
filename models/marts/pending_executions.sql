with attempts as (

    select *
    from {{ ref('int_attempts') }}
    where success is null
        and coalesce(decided_at, started_at) is not null
        and {{ is_retained('coalesce(decided_at, started_at)') }}

),

final as (

    select
        {{ cast(attempt_task_id('task_id', 'attempt'), 'uuid') }} as task_id,
        case when attempt > 1 then task_id end as parent_task_id,
        attempt,
        coalesce(decided_at, started_at) as timestamp,
        started_at,
        coalesce(task_type, 'unknown') as task_type,
        coalesce(repo, 'unknown') as repo,
        coalesce(model_tier, 'unknown') as model_tier,
        coalesce(pool_type, 'unknown') as pool_type,
        cost_estimate,
        load_id
    from attempts

)

select * from final
