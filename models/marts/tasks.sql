{{
    config(
        materialized='incremental',
        incremental_strategy='replace_tasks',
        task_key='task_id',
        changed_from='int_attempts',
        on_schema_change='fail',
        meta={'published': {
            'key': 'task_id', 'order': 'first_routed_at',
            'source': 'int_attempts', 'source_key': 'task_id', 'oldest': 'first_load_id',
        }},
    )
}}

with attempts as (

    select
        *,
        coalesce(parent_task_id, task_id) as original_task_id
    from {{ ref('executions') }}
    where {{ of_changed_tasks(ref('int_attempts'), 'coalesce(parent_task_id, task_id)') }}

),

-- Most tasks have one attempt, and nothing to group: that is most of the time of a full build.
tried_again as (

    select distinct parent_task_id
    from attempts
    where parent_task_id is not null

),

final as (

    select
        task_id,
        1 as attempts,
        success,
        {{ reproducible('known_cost') }} as total_cost,
        {{ reproducible('known_duration_seconds') }} as total_duration_seconds,
        {{ list_of('model_tier') }} as tiers_tried,
        model_tier as final_tier,
        task_type,
        repo,
        timestamp as first_routed_at,
        timestamp as last_routed_at,
        load_id
    from attempts
    where parent_task_id is null
        and task_id not in (select parent_task_id from tried_again)
    union all
    select
        original_task_id as task_id,
        cast(count(*) as integer) as attempts,
        max_by(success, attempt) as success,
        {{ reproducible_sum('known_cost') }} as total_cost,
        {{ reproducible_sum('known_duration_seconds') }} as total_duration_seconds,
        {{ ordered_list('model_tier', 'attempt') }} as tiers_tried,
        max_by(model_tier, attempt) as final_tier,
        min_by(task_type, attempt) as task_type,
        min_by(repo, attempt) as repo,
        min(timestamp) as first_routed_at,
        max(timestamp) as last_routed_at,
        max(load_id) as load_id
    from attempts
    where original_task_id in (select parent_task_id from tried_again)
    group by original_task_id

)

select * from final
