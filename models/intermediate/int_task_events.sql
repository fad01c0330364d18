with final as (

    {% for source in task_event_sources() %}
    {% if not loop.first %}union all{% endif %}
    select
        task_id,
        '{{ source.event_type }}' as event_type,
        {{ source.rank }} as source_rank,
        attempt,
        {{ source.decision_id }} as decision_id,
        occurred_at,
        captured_at,
        event_id,
        event_hash,
        load_id
        {%- for field, type in task_event_fields().items() -%}
        ,
        {{ source.carried.get(field, cast('null', type)) }} as {{ field }}
        {%- endfor %}
    from {{ ref(source.model) }}
    {% endfor %}

)

select * from final
