with lifecycle as (

    select
        pool_id,
        pool_type,
        occurred_at as created_at,
        cast(null as timestamp) as closed_at,
        cast(null as string) as close_reason,
        occurred_at,
        captured_at,
        event_id,
        event_hash
    from {{ ref('stg_pool_creations') }}
    union all
    select
        pool_id,
        pool_type,
        cast(null as timestamp) as created_at,
        occurred_at as closed_at,
        reason as close_reason,
        occurred_at,
        captured_at,
        event_id,
        event_hash
    from {{ ref('stg_pool_closures') }}

),

sequenced as (

    select
        *,
        row_number() over (
            partition by pool_id order by occurred_at, captured_at, event_id, event_hash
        ) as ordinal,
        row_number() over (
            partition by pool_id, closed_at is null
            order by occurred_at desc, captured_at desc, event_id desc, event_hash desc
        ) as recency
    from lifecycle

),

pools as (

    select
        pool_id,
        max_by(pool_type, ordinal) filter (where pool_type is not null) as pool_type,
        max(created_at) as created_at,
        max(closed_at) as closed_at,
        -- Of the last closure alone: max_by would pass over a closure without a reason.
        max(case when closed_at is not null and recency = 1 then close_reason end) as close_reason,
        -- A pool that came up again after it was closed is open.
        (
            max(case when created_at is not null then ordinal else 0 end)
            > max(case when closed_at is not null then ordinal else 0 end)
        ) as is_open
    from sequenced
    group by pool_id

),

final as (

    select
        pool_id,
        coalesce(pool_type, 'unknown') as pool_type,
        created_at,
        case when not is_open then closed_at end as closed_at,
        case when not is_open then close_reason end as close_reason,
        is_open
    from pools

)

select * from final
