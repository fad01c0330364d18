with source as (

    select * from {{ source('raw', 'solution_extracted') }}

),

final as (

    select
        event_id,
        occurred_at,
        captured_at,
        pattern_id,
        task_context,
        solution_summary,
        success_rate,
        usage_count,
        repos_used_in,
        embedding,
        metadata,
        event_hash,
        load_id
    from source

)

select * from final
