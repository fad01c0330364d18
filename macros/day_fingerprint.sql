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
