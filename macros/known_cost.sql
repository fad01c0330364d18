{#- The actual cost where anybody knows one: a stored 0 of an unknown cost must not look free. -#}
{% macro known_cost() -%}
    case when cost_source != 'unknown' then actual_cost end
{%- endmacro %}
