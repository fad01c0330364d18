{#-
    Incremental strategy `replace_tasks`: every row of a changed task goes, and what the model
    selected comes in its place. Unlike delete+insert it also removes what a task no longer has.
    The model's config names the `changed_from` model and its own `task_key`.

    No row of a task is of an older load than the first that told of the task, so zone maps spare
    new tasks the search for old rows. That load is a number here: compared with a subquery, DuckDB
    takes five times as long where zone maps do not help.
-#}
{% macro get_incremental_replace_tasks_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | list -%}
    {%- set upstream = ref(config.require('changed_from')) -%}
    {%- if 'first_load_id' in columns -%}
        {%- set oldest = first_load(arg_dict['temp_relation']) -%}
    {%- else -%}
        {%- set oldest = first_load(upstream, loaded_since(target)) -%}
    {%- endif %}
    {%- set columns = get_quoted_csv(columns) -%}
    delete from {{ target }}
    where {{ config.require('task_key') }} in ({{ changed_tasks(target, upstream) }})
        and load_id >= {{ oldest }};
    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}
