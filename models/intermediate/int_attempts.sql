{{
    config(
        materialized='incremental',
        incremental_strategy='replace_tasks',
        task_key='task_id',
        changed_from='int_task_events',
        on_schema_change='fail',
        pre_hook="{{ begin_full_build(ref('int_task_events')) }}",
        post_hook="{{ finish_full_build() }}",
    )
}}
{%- set fields = task_event_fields() %}
{%- set sources = task_event_sources() | reverse | list %}
{%- set newest = newest_load(this) if is_incremental() else 0 %}

with
{% if not is_incremental() %}
-- Most tasks have one event of each type at most, and no numbered attempt: joined, not folded below
-- with the others, a million take 7 s of processor time instead of 12, and 1.1 GB instead of 2.1.
task_spans as (

    select
        task_id,
        load_id,
        first_load_id,
        is_plain
    from {{ task_spans(ref('int_task_events')) }} as spans

),

plain as (

    select
        task_spans.task_id,
        1 as attempt,
        task_spans.load_id,
        task_spans.first_load_id,
        routing_decision.occurred_at as decided_at,
        pool_execution_start.occurred_at as started_at,
        case
            {% for source in sources if 'success' in source.carried -%}
            when {{ source.event_type }}.success is not null
                then {{ source.event_type }}.occurred_at
            {% endfor -%}
        end as ended_at,
        {% for field in fields -%}
        coalesce(
            {%- for source in sources if field in source.carried -%}
            {{ source.event_type }}.{{ field }}{{ ', ' if not loop.last }}
            {%- endfor -%}
        ) as {{ field }}{{ ',' if not loop.last }}
        {% endfor -%}
    from task_spans
    {% for source in sources -%}
    left join {{ ref('int_task_events') }} as {{ source.event_type }}
        on
            task_spans.task_id = {{ source.event_type }}.task_id
            and {{ source.event_type }}.event_type = '{{ source.event_type }}'
            and {{ in_part(source.event_type ~ '.load_id') }}
    {% endfor -%}
    where task_spans.is_plain

),

{% else %}
changed as (

    select task_id
    from {{ ref('int_task_events') }}
    where load_id > {{ newest }}

),

-- Ids lie in no order, so they alone are looked through first, from the load on that first told of
-- one of the tasks; then whole rows are read, only of loads that hold one of the events.
loads_to_read as (

    select load_id
    from {{ ref('int_task_events') }}
    where task_id in (select task_id from changed)
        and load_id >= {{ first_load_of_changed(this, ref('int_task_events'), newest) }}

),

{% endif -%}
events as (

    select *
    from {{ ref('int_task_events') }}
    {% if not is_incremental() %}
    where task_id in (select task_id from task_spans where not is_plain)
        and {{ in_part('load_id') }}
    {% else %}
    where
        task_id in (select task_id from changed)
        and load_id in (select load_id from loads_to_read)
    {% endif %}

),

-- The total order of a task's events, and what was known of the task before each of them.
sequenced as (

    select
        *,
        row_number() over task_order as ordinal,
        max(load_id) over (partition by task_id) as task_load_id,
        min(load_id) over (partition by task_id) as first_load_id
    from events
    window
        task_order as (
            partition by task_id order by occurred_at, captured_at, event_id, event_hash
        )

),

preceded as (

    select
        *,
        max(case when event_type = 'routing_decision' then ordinal end) over before_it
            as last_decision,
        max(case when success is not null then ordinal end) over before_it as last_outcome,
        count(case when event_type = 'routing_decision' then attempt end) over up_to_it
            as numbered_decisions
    from sequenced
    window
        before_it as (
            partition by task_id order by ordinal
            rows between unbounded preceding and 1 preceding
        ),
        up_to_it as (
            partition by task_id order by ordinal
            rows between unbounded preceding and current row
        )

),

-- A decision after an outcome opens the next attempt, unless it names its attempt itself.
-- Every other event belongs to the attempt it names, else to the latest one decided before it.
numbered as (

    select
        *,
        coalesce(
            attempt,
            coalesce(
                max(case when event_type = 'routing_decision' then attempt end) over since_numbered,
                1
            )
            + cast(
                count(
                    case
                        when event_type = 'routing_decision' and attempt is null
                            and last_outcome > last_decision
                            then 1
                    end
                ) over since_numbered_up_to_it as integer
            )
        ) as attempt_number
    from preceded
    window
        since_numbered as (partition by task_id, numbered_decisions),
        since_numbered_up_to_it as (
            partition by task_id, numbered_decisions order by ordinal
            rows between unbounded preceding and current row
        )

),

ranked as (

    select
        *,
        row_number() over (
            partition by task_id, attempt_number order by source_rank, ordinal
        ) as precedence
    from numbered

),

final as (

    select
        task_id,
        attempt_number as attempt,
        max(task_load_id) as load_id,
        min(first_load_id) as first_load_id,
        max_by(occurred_at, precedence) filter (where event_type = 'routing_decision')
            as decided_at,
        max_by(occurred_at, precedence) filter (where event_type = 'pool_execution_start')
            as started_at,
        max_by(occurred_at, precedence) filter (where success is not null) as ended_at,
        {% for field in fields %}
        max_by({{ field }}, precedence) filter (where {{ field }} is not null) as {{ field }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from ranked
    group by task_id, attempt_number
    {% if not is_incremental() %}
    union all
    select * from plain
    {% endif %}

)

select * from final
