with source as (

    select * from {{ source('raw', 'task_completed') }}

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
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
