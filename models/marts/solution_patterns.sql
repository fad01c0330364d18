{{
    config(
        post_hook="{{ named_index('idx_solution_patterns_success_rate', ['success_rate', 'usage_count']) }}",
    )
}}

with days as (

    select *
    from {{ ref('int_solution_days') }}
    where solution_summary is not null
        and {{ within_window('date', var('pattern_window_days')) }}

),

final as (

    select
        solution_summary,
        repo,
        array_sort(array_agg(distinct task_type)) as task_types,
        cast(sum(usage_count) as bigint) as usage_count,
        cast(sum(success_count) as bigint) as success_count,
        cast(sum(quality_sum) as double) / nullif(sum(quality_count), 0) as avg_quality,
        min(first_seen) as first_seen,
        max(last_seen) as last_seen,
        cast(sum(success_count) as double) / sum(usage_count) as success_rate
    from days
    group by solution_summary, repo
    having sum(usage_count) >= {{ pattern_min_uses() }}

)

select * from final
