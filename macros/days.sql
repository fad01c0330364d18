{#-
    Pre-hook of the models that are built day by day: drops the days that lie outside the window
    or whose executions are no longer those they were built from.
-#}
{% macro drop_stale_days(days) %}
    {%- if is_incremental() -%}
        delete from {{ this }} as built
        where not exists (
            select 1
            from {{ ref('int_execution_days') }} as known_days
            where known_days.date = built.date
                and known_days.fingerprint = built.day_fingerprint
                and {{ within_window('known_days.date', days) }}
        )
    {%- endif -%}
{% endmacro %}

{#-
    The executions of the days in the window that this model does not hold yet. The few days are joined,
    so that the engine skips what zone maps say is of another day.
-#}
{% macro executions_of_missing_days(days) %}
    select executions.*
    from {{ ref('executions') }} as executions
    {% if is_incremental() %}
    inner join (
        select known_days.date
        from {{ ref('int_execution_days') }} as known_days
        where {{ within_window('known_days.date', days) }}
            and known_days.date not in (select date from {{ this }})
    ) as wanted_days on executions.date = wanted_days.date
    {% else %}
    where {{ within_window('executions.date', days) }}
    {% endif %}
{% endmacro %}

{#-
    In a select from executions that groups by date and whatever else: the date's fingerprint, as
    `int_execution_days` has it, from the very rows that are grouped, so that a day's label never lies.
    Rows need not be hashed one by one: `executions` takes rows of later loads only than it holds, so a
    day that gained one has a newer load than before, and a day that only lost rows has fewer. Whatever
    else removes or renumbers loads drops the warehouse.
-#}
{% macro day_fingerprint() -%}
    {{ combined([
        'cast(sum(count(*)) over (partition by date) as bigint)',
        'cast(sum(sum(load_id)) over (partition by date) as bigint)',
        'max(max(load_id)) over (partition by date)',
    ]) }}
{%- endmacro %}
