with source as (

    select * from {{ source('raw', 'quality_policy_adjusted') }}

),

final as (

    select
        event_id,
        occurred_at,
        captured_at,
        policy_id,
        repo,
        project_maturity,
        coverage_threshold,
        strictness_level,
        adjustment_reason,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
