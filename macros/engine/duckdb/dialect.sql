{% macro duckdb__attempt_task_id(task_id, attempt) -%}
    case
        when {{ attempt }} = 1 then {{ task_id }}
        else cast(md5(cast({{ task_id }} as string) || '/attempt/' || cast({{ attempt }} as string)) as uuid)
    end
{%- endmacro %}

{% macro duckdb__combined(values) -%}
    cast(hash({{ values | join(', ') }}) % 9223372036854775807 as bigint)
{%- endmacro %}

{% macro duckdb__ordered_list(value, position) -%}
    array_agg({{ value }} order by {{ position }})
{%- endmacro %}

{% macro duckdb__nulls_among(columns) -%}
    list_filter(
        [
            {%- for name, column in columns.items() %}
            case when {{ column }} is null then '{{ name }}' end{{ ',' if not loop.last }}
            {%- endfor %}
        ],
        lambda name: name is not null
    )
{%- endmacro %}

{% macro duckdb__list_of(value) -%}
    [{{ value }}]
{%- endmacro %}

{#- Most say the same or only one says anything: a map is made only where it is needed. -#}
{% macro duckdb__merged_objects(values) -%}
    {%- set first = 'coalesce(' ~ values | join(', ') ~ ')' -%}
    case
        when {% for value in values %}coalesce({{ value }} = {{ first }}, true){{ ' and ' if not loop.last }}{% endfor %}
            then {{ first }}
        else to_json(map_concat(
            {%- for value in values | reverse %}
            cast({{ value }} as map (varchar, json)){{ ',' if not loop.last }}
            {%- endfor %}
        ))
    end
{%- endmacro %}

{% macro duckdb__seconds_before(moment, seconds) -%}
    {{ moment }} - to_microseconds(cast(round({{ seconds }} * 1000000) as bigint))
{%- endmacro %}

{% macro duckdb__seconds_between(first, last) -%}
    (epoch_us({{ last }}) - epoch_us({{ first }})) / 1000000.0
{%- endmacro %}

{% macro duckdb__newest(value, moment, count) -%}
    arg_max({{ value }}, struct_pack(moment := {{ moment }}, value := {{ value }}), {{ count }})
{%- endmacro %}

{% macro duckdb__empty_list(type) -%}
    cast([] as {{ type }}[])
{%- endmacro %}
