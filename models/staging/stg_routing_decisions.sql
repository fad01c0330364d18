with source as (

    select * from {{ source('raw', 'routing_decision') }}

),

final as (

    select
        event_id,
        task_id,
        attempt,
        occurred_at,
        captured_at,
        task_type,
        task_description,
        repo,
        file_count,
        estimated_tokens,
        model_tier,
        pool_type,
        swarm_topology,
        routing_confidence,
        complexity_score,
        cost_estimate,
        policy_version,
        propensity,
        candidates,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
