with source as (

    select * from {{ source('raw', 'pool_closed') }}

),

final as (

    select
        event_id,
        occurred_at,
        captured_at,
        pool_id,
        pool_type,
        reason,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
