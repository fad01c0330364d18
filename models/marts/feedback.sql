{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='feedback_id',
        on_schema_change='fail',
        meta={'published': {
            'key': 'feedback_id', 'order': 'timestamp',
            'source': 'stg_feedback', 'source_key': 'feedback_id',
        }},
    )
}}

with events as (

    select *
    from {{ ref('stg_feedback') }}
    {% if is_incremental() %}
    where feedback_id in ({{ changed_tasks(this, ref('stg_feedback'), 'feedback_id') }})
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
        and {{ is_retained('occurred_at') }}

)

select * from final
