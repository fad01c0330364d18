with events as (

    select
        *,
        row_number() over (
            partition by pattern_id
            order by occurred_at desc, captured_at desc, event_id desc, event_hash desc
        ) as recency
    from {{ ref('stg_extracted_solutions') }}

),

final as (

    select
        pattern_id,
        occurred_at as extracted_at,
        task_context,
        solution_summary,
        success_rate,
        usage_count,
        repos_used_in,
        {{ cast('embedding', 'float[384]') }} as embedding
    from events
    where recency = 1

)

select * from final
