{#-
    Incremental strategy `replace_days`: every held day whose fingerprint is not the current one goes,
    one that no longer exists or has left the window included, and what the model selected comes in.

        config(incremental_strategy='replace_days', days_from='int_execution_days', window='tier_window_days')

    `days_from` names the model of the days and their fingerprints, `window` the var with the days to
    hold, `day_key` the column of the day, `date` unless said otherwise. What is kept by another key than
    a day, such as groups of runs, names that key and the `day_column` that dates it. The model selects
    the `changed_days` and labels each row with its `day_fingerprint`. Whole days go and come, so a store
    that deletes no rows can drop and write partitions instead.
-#}
{% macro get_incremental_replace_days_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- set key = config.get('day_key', 'date') -%}
    {%- set day = config.get('day_column', key) -%}
    {%- set days = ref(config.require('days_from')) %}
    delete from {{ target }} as held
    where not exists (
        select 1
        from ({{ days_in_window(days, var(config.require('window')), key, day) }}) as current_days
        where current_days.{{ key }} = held.{{ key }}
            and current_days.fingerprint = held.day_fingerprint
    );
    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}

{#- The days in the window that the model does not hold as they are now; all of them in a full build. -#}
{% macro changed_days(days, window, key='date', day=none) %}
    select current_days.{{ key }}
    from ({{ days_in_window(days, window, key, day or key) }}) as current_days
    {% if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as held
        where held.{{ key }} = current_days.{{ key }}
            and held.day_fingerprint = current_days.fingerprint
    )
    {% endif %}
{% endmacro %}

{% macro days_in_window(days, window, key, day) %}
    select
        {{ key }},
        fingerprint
    from {{ days }}
    where {{ within_window(day, window) }}
{% endmacro %}
