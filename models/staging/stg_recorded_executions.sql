with source as (

    select * from {{ source('raw', 'execution_recorded') }}

),

final as (

    select
        event_id,
        task_id,
        attempt,
        occurred_at,
        captured_at,
        success,
        duration_seconds,
        quality_score,
        cost_estimate,
        actual_cost,
        error_type,
        error_message,
        peak_memory_mb,
        cpu_time_seconds,
        solution_summary,
        timestamp,
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
        policy_version,
        propensity,
        candidates,
        user_accepted,
        user_rating,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
