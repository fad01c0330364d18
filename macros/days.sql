{#-
    Pre-hook of the models that are built day by day: drops the days that lie outside the window
    or whose executions are no longer those they were built from.
-#}
{% macro drop_stale_days(days) %}
    {%- if is_incremental() -%}
        delete from {{ this }} as built
        where not exists (
            select 1
            from {{ ref('int_execution_days') }} as days
            where days.date = built.date
                and days.fingerprint = built.day_fingerprint
                and {{ within_window('days.date', days) }}
        )
    {%- endif -%}
{% endmacro %}

{#- The executions of the days in the window that this model does not hold yet. -#}
{% macro executions_of_missing_days(days) %}
    select
        executions.*,
        day_versions.fingerprint as day_fingerprint
    from {{ ref('executions') }} as executions
    inner join (
        -- From the very rows that are read, so that a day's label never lies.
        select
            date,
            {{ fingerprint(['task_id', 'load_id']) }} as fingerprint
        from {{ ref('executions') }}
        where {{ within_window('date', days) }}
        {% if is_incremental() %}
            and date in (select date from {{ ref('int_execution_days') }})
            and date not in (select date from {{ this }})
        {% endif %}
        group by date
    ) as day_versions on executions.date = day_versions.date
{% endmacro %}
