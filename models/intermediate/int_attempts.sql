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
        false as is_ambiguous,
        {% for field in fields -%}
        {%- set said = [] -%}
        {%- for source in sources if field in source.carried -%}
        {%- do said.append(source.event_type ~ '.' ~ field) -%}
        {%- endfor -%}
        {{ merged_objects(said) if field == 'metadata' else 'coalesce(' ~ said | join(', ') ~ ')' }}
        as {{ field }}{{ ',' if not loop.last }}
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

{% if is_incremental() -%}
task_spans as (

    {{ all_task_spans('events') }}

),

{% endif -%}
-- What puts the events of a task in order; what they say comes back at the end.
-- Of whole executions that say one beginning only the latest captured counts, its nulls included.
told as (

    select
        task_id,
        event_type,
        source_rank,
        attempt,
        decision_id,
        occurred_at,
        captured_at,
        event_id,
        event_hash,
        routed_at,
        success,
        -- A run that was numbered once has its number wherever its beginning is said.
        coalesce(
            attempt,
            case
                when routed_at is not null
                    then max(attempt) over (partition by task_id, routed_at)
            end
        ) as given_attempt
    from events
    where
        task_id in (
            select task_id from task_spans
            where not is_plain
        )
    qualify
        routed_at is null
        or row_number() over (
            partition by task_id, routed_at, attempt
            order by captured_at desc, occurred_at desc, event_id desc, event_hash desc
        ) = 1

),

counted as (

    select
        *,
        count(case when event_type = 'routing_decision' then 1 end) over task as decisions,
        count(given_attempt) over task as numbered_events,
        min(case when event_type = 'routing_decision' then occurred_at end) over task
            as first_decided,
        max(case when event_type = 'routing_decision' then occurred_at end) over task
            as last_decided,
        min(occurred_at) over kind as first_of_its_kind,
        max(occurred_at) over kind as last_of_its_kind,
        count(*) over kind as events_of_its_kind
    from told
    window
        task as (partition by task_id),
        kind as (partition by task_id, event_type)

),

-- The total order of a task's events by their clocks. A whole execution of a task without decisions
-- stands where it began.
timed as (

    select
        *,
        max(case when success is not null then events_of_its_kind else 0 end) over (
            partition by task_id
        ) as outcomes,
        row_number() over (
            partition by task_id
            order by
                case when decisions = 0 then coalesce(routed_at, occurred_at) else occurred_at end,
                captured_at,
                event_id,
                event_hash
        ) as ordinal
    from counted

),

matched as (

    select
        *,
        case
            when decision_id is not null
                then max(case when event_type = 'routing_decision' then ordinal end) over (
                        partition by task_id, decision_id
                    )
        end as own_decision,
        row_number() over (partition by task_id, event_type order by ordinal) as number_of_its_kind,
        -- The first of the whole executions that say the same beginning.
        decisions = 0 and routed_at is not null and row_number() over (
            partition by task_id, routed_at order by given_attempt nulls last, ordinal
        ) = 1 as begins_run
    from timed

),

-- A decision names itself, so whatever else has one here was told it.
linked as (

    select
        *,
        max(case when event_type = 'routing_decision' then ordinal end) over (
            partition by task_id, number_of_its_kind
        ) as decision_of_its_number,
        decisions > 1
        and numbered_events = 0
        and {{ seconds_between(
            'least(first_decided, first_of_its_kind)', 'greatest(last_decided, last_of_its_kind)'
        ) }} <= 2 * {{ max_clock_skew_seconds() }}
        and count(case when event_type != 'routing_decision' then own_decision end) over (
            partition by task_id
        ) = 0 as is_within_skew
    from matched

),

-- An event that was told its decision follows it, whatever the clocks say. Where nobody told and
-- decisions and outcomes lie within the skew of two clocks, the i-th outcome is of the i-th
-- decision if there are as many; if there are not, the clocks are believed.
placed as (

    select
        *,
        is_within_skew and success is not null and outcomes != decisions as is_ambiguous,
        row_number() over (
            partition by task_id
            order by
                case
                    when own_decision is not null then own_decision
                    when is_within_skew
                        and outcomes = decisions
                        and events_of_its_kind = decisions
                        and (success is not null or event_type = 'pool_execution_start')
                        then decision_of_its_number
                    else ordinal
                end,
                case when event_type = 'routing_decision' then 0 else 1 end,
                ordinal
        ) as place
    from linked

),

preceded as (

    select
        *,
        event_type = 'routing_decision' or begins_run as begins,
        count(case when begins_run then 1 end) over before_it as begun_runs,
        max(case when event_type = 'routing_decision' then place end) over before_it
            as last_decision,
        max(case when success is not null then place end) over before_it as last_outcome,
        count(case when event_type = 'routing_decision' or begins_run then given_attempt end) over (
            partition by task_id order by place
            rows between unbounded preceding and current row
        ) as numbered_beginnings
    from placed
    window
        before_it as (
            partition by task_id order by place
            rows between unbounded preceding and 1 preceding
        )

),

-- A decision after an outcome opens the next attempt, and so does a whole execution with another
-- beginning, unless it names its attempt itself. Every other event belongs to the attempt it names,
-- else to the latest one begun before it.
numbered as (

    select
        *,
        coalesce(
            given_attempt,
            coalesce(max(case when begins then given_attempt end) over since_numbered, 1)
            + cast(
                count(
                    case
                        when begins and given_attempt is null
                            and (last_outcome > last_decision or begun_runs > 0)
                            then 1
                    end
                ) over since_numbered_up_to_it as integer
            )
        ) as attempt_number
    from preceded
    window
        since_numbered as (partition by task_id, numbered_beginnings),
        since_numbered_up_to_it as (
            partition by task_id, numbered_beginnings order by place
            rows between unbounded preceding and current row
        )

),

-- And of those of one attempt.
ranked as (

    select
        task_id,
        event_type,
        event_id,
        event_hash,
        attempt_number,
        is_ambiguous,
        row_number() over (
            partition by task_id, attempt_number order by source_rank, place
        ) as precedence
    from numbered
    qualify
        event_type != 'execution_recorded'
        or row_number() over (
            partition by task_id, attempt_number, event_type
            order by captured_at desc, occurred_at desc, event_id desc, event_hash desc
        ) = 1

),

-- A plain task needs no order: its events are of the first attempt and go by their rank.
folded as (

    select
        events.*,
        coalesce(ranked.attempt_number, 1) as attempt_number,
        coalesce(ranked.precedence, events.source_rank) as precedence,
        coalesce(ranked.is_ambiguous, false) as is_ambiguous,
        task_spans.load_id as task_load_id,
        task_spans.first_load_id
    from events
    inner join task_spans on events.task_id = task_spans.task_id
    left join ranked
        on events.task_id = ranked.task_id
        and events.event_type = ranked.event_type
        and events.event_id = ranked.event_id
        and events.event_hash = ranked.event_hash
    where task_spans.is_plain or ranked.precedence is not null

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
        bool_or(is_ambiguous) as is_ambiguous,
        {% for field in fields if field != 'metadata' -%}
        max_by({{ field }}, precedence) filter (where {{ field }} is not null) as {{ field }},
        {% endfor -%}
        {%- set said = [] %}
        {%- for source in sources if 'metadata' in source.carried %}
        {%- do said.append(
            "max_by(metadata, precedence) filter (where metadata is not null and event_type = '"
            ~ source.event_type ~ "')"
        ) %}
        {%- endfor %}
        {{ merged_objects(said) }} as metadata
    from folded
    group by task_id, attempt_number
    {% if not is_incremental() %}
    union all
    select * from plain
    {% endif %}

)

select * from final
