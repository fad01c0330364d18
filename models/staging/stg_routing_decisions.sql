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
        -- `unknown` is what a hook writes for what its host does not say.
        nullif(task_type, 'unknown') as task_type,
        task_description,
        nullif(repo, 'unknown') as repo,
        file_count,
        estimated_tokens,
        nullif(model_tier, 'unknown') as model_tier,
        nullif(pool_type, 'unknown') as pool_type,
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
