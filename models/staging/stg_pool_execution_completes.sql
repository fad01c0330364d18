with source as (

    select * from {{ source('raw', 'pool_execution_complete') }}

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
        pool_id,
        pool_type,
        swarm_topology,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
