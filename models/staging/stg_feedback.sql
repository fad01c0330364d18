with source as (

    select * from {{ source('raw', 'feedback') }}

),

final as (

    select
        event_id,
        task_id,
        attempt,
        occurred_at,
        captured_at,
        feedback_id,
        feedback_type,
        rating,
        comment,
        user_id,
        case
            when feedback_type in ('thumbs_up', 'accepted') then true
            when feedback_type in ('thumbs_down', 'rejected') then false
        end as is_accepted,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
