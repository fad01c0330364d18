{#-
    In a select from executions that groups by date and whatever else: the date's fingerprint, as
    `int_execution_days` has it, from the very rows that are grouped, so that a day's label never lies.
    Rows need not be hashed one by one: `executions` takes rows of later loads only than it holds, so a
    day that gained one has a newer load than before, and a day that only lost rows has fewer. Whatever
    else removes or renumbers loads drops the warehouse. Other arms are another version of every day.
-#}
{% macro day_fingerprint(executions='') -%}
    {%- set load_id = executions ~ 'load_id' -%}
    {%- set by_date = ' over (partition by ' ~ executions ~ 'date)' -%}
    {{ combined([
        'cast(sum(count(*))' ~ by_date ~ ' as bigint)',
        'cast(sum(sum(' ~ load_id ~ '))' ~ by_date ~ ' as bigint)',
        'max(max(' ~ load_id ~ '))' ~ by_date,
        "'" ~ arm_kind() ~ "'",
    ]) }}
{%- endmacro %}

{#- The same of a group that is selected whole; types too, or every run would build everything anew. -#}
{% macro version_of_executions() -%}
    {{ combined(['count(*)', 'cast(sum(load_id) as bigint)', 'max(load_id)', "'" ~ arm_kind() ~ "'"]) }}
{%- endmacro %}
