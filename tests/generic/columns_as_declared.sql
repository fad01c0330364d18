{#-
    The table has exactly the columns, of exactly the types, that its YAML declares. Each difference
    is named: the table, the column, the type found and the type declared.

        data_tests:
          - columns_as_declared
-#}
{% test columns_as_declared(model) %}
    {%- set declared = {} -%}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- for node in (graph.nodes.values() | list) + (graph.sources.values() | list) -%}
            {%- if node.relation_name == model | string -%}
                {%- for column in node.columns.values() -%}
                    {%- do declared.update({column.name | lower: column.data_type | lower}) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if not declared -%}
            {{ exceptions.raise_compiler_error("columns_as_declared found no declaration of " ~ model) }}
        {%- endif -%}
        {%- for column in adapter.get_columns_in_relation(model) -%}
            {%- do found.update({column.name | lower: column.dtype | lower}) -%}
        {%- endfor -%}
        {%- if declared != found and flags.WHICH in ('test', 'build') -%}
            {#- dbt itself says of a failed test only how many rows it returned. -#}
            {%- set said = [] -%}
            {%- for name in (declared.keys() | list + found.keys() | list) | unique -%}
                {%- if declared.get(name) != found.get(name) -%}
                    {%- do said.append(
                        model.schema ~ '.' ~ model.identifier ~ '.' ~ name ~ ' is '
                        ~ found.get(name, 'missing') ~ ', declared is '
                        ~ declared.get(name, 'nothing')
                    ) -%}
                {%- endif -%}
            {%- endfor -%}
            {{ exceptions.raise_compiler_error(said | join('; ')) }}
        {%- endif -%}
    {%- endif -%}

    with differences as (

        select
            cast(null as string) as table_name,
            cast(null as string) as column_name,
            cast(null as string) as declared_type,
            cast(null as string) as found_type
        {%- for name in (declared.keys() | list + found.keys() | list) | unique %}
        {%- if declared.get(name) != found.get(name) %}
        union all
        select
            '{{ model.identifier }}',
            '{{ name }}',
            '{{ declared.get(name, "not declared") }}',
            '{{ found.get(name, "missing") }}'
        {%- endif %}
        {%- endfor %}

    )

    select *
    from differences
    where table_name is not null
{% endtest %}
