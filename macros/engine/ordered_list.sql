{#- Aggregate: the values as a list, ordered by another column. -#}
{% macro ordered_list(value, position) -%}
    {{ adapter.dispatch('ordered_list', 'orb_learning')(value, position) }}
{%- endmacro %}

{% macro default__ordered_list(value, position) -%}
    array_agg({{ value }} order by {{ position }})
{%- endmacro %}

{#- One value as a list. -#}
{% macro list_of(value) -%}
    {{ adapter.dispatch('list_of', 'orb_learning')(value) }}
{%- endmacro %}

{% macro default__list_of(value) -%}
    [{{ value }}]
{%- endmacro %}
