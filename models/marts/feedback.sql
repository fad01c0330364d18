{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='feedback_id',
        on_schema_change='fail',
        pre_hook="{% if is_incremental() %}delete from {{ this }} where task_id in (select task_id from {{ ref('stg_task_erasures') }}){% endif %}",
    )
}}

with events as (

    select *
    from {{ ref('stg_feedback') }}
    where task_id not in (select task_id from {{ ref('stg_task_erasures') }})
    {% if is_incremental() %}
    and feedback_id in (
        select feedback_id
        from {{ ref('stg_feedback') }}
        where load_id > (select coalesce(max(load_id), 0) from {{ this }})
            -- Erasing a task may uncover an earlier event, about another task, under the same id.
            or task_id in (select task_id from {{ ref('stg_task_erasures') }})
    )
    {% endif %}

),

ranked as (

    select
        *,
        max(load_id) over (partition by feedback_id) as feedback_load_id,
        row_number() over (
            partition by feedback_id
            order by occurred_at desc, captured_at desc, event_id desc, event_hash desc
        ) as recency
    from events

),

final as (

    select
        feedback_id,
        task_id,
        occurred_at as timestamp,
        feedback_type,
        rating,
        comment,
        user_id,
        feedback_load_id as load_id
    from ranked
    where recency = 1

)

select * from final
