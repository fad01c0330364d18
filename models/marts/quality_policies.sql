with events as (

    select
        *,
        row_number() over (
            partition by policy_id
            order by occurred_at desc, captured_at desc, event_id desc, event_hash desc
        ) as recency
    from {{ ref('stg_quality_policy_adjustments') }}

),

final as (

    select
        policy_id,
        repo,
        project_maturity,
        coverage_threshold,
        strictness_level,
        occurred_at as last_adjusted,
        adjustment_reason
    from events
    where recency = 1

)

select * from final
