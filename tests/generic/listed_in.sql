{#-
    Every value that is not null stands in a reference list, a dbt seed. Passes while the seed is
    not loaded: `dbt run` does not load seeds, and no run may depend on them.

        data_tests:
          - listed_in: {arguments: {seed: tiers, field: tier}, config: {severity: warn}}
-#}
{% test listed_in(model, column_name, seed, field) %}
    {%- set list = ref(seed) -%}
    {%- set is_loaded = execute and adapter.get_relation(
        list.database, list.schema, list.identifier
    ) -%}
    select distinct {{ column_name }}
    from {{ model }}
    where {{ column_name }} is not null
    {% if is_loaded %}
        and {{ column_name }} not in (select {{ field }} from {{ list }})
    {% else %}
        and false
    {% endif %}
{% endtest %}
