{#-
    On a reference list, a dbt seed: every row has a name, and no two the same one. Passes while the
    seed is not loaded: `dbt run` does not load seeds, and `dbt test` may follow it.

        data_tests:
          - names_each_once
-#}
{% test names_each_once(model, column_name) %}
    {%- set is_loaded = execute and adapter.get_relation(
        model.database, model.schema, model.identifier
    ) -%}
    {% if is_loaded %}
    select
        {{ column_name }},
        count(*) as rows_with_this_name
    from {{ model }}
    group by {{ column_name }}
    having count(*) > 1 or {{ column_name }} is null
    {% else %}
    select 1 as nothing
    where false
    {% endif %}
{% endtest %}
