with source as (

    select * from {{ source('raw', 'pool_execution_start') }}

),

final as (

    select
        event_id,
        task_id,
        attempt,
        occurred_at,
        captured_at,
        pool_id,
        pool_type,
        swarm_topology,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
