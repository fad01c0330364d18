with source as (

    select * from {{ source('raw', 'task_erased') }}

),

final as (

    select
        event_id,
        task_id,
        occurred_at,
        captured_at,
        reason,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
