{#-
    What dbt asks of both tables in two queries, asked in one statement that fails by itself: the contract has been
    compared with what is inserted, so its columns are the ones to insert.
-#}
{% macro duckdb__process_schema_changes(on_schema_change, source_relation, target_relation) -%}
    {%- if on_schema_change != 'fail' or not config.get('contract').enforced -%}
        {{ return(default__process_schema_changes(on_schema_change, source_relation, target_relation)) }}
    {%- endif -%}
    {%- call statement('same_columns') %}
        select
            error(
                '{{ target_relation.identifier }} has other columns than its model: '
                || {{ only_in('built', 'made') }} || ' instead of ' || {{ only_in('made', 'built') }}
                || '; run dbt once with --full-refresh'
            )
        from ({{ columns_of(target_relation) }}) as built, ({{ columns_of(source_relation) }}) as made
        where built.columns != made.columns
    {%- endcall %}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do columns.append(api.Column(column.name, column.data_type)) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{% macro columns_of(relation) -%}
    select list(column_name || ' ' || column_type order by column_name) as columns from (describe {{ relation }})
{%- endmacro %}

{% macro only_in(one, other) -%}
    coalesce(
        nullif(list_aggregate(
            list_filter({{ one }}.columns, lambda name: not list_contains({{ other }}.columns, name)), 'string_agg', ', '
        ), ''),
        'nothing'
    )
{%- endmacro %}
