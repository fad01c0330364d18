{#- One BIGINT that stands for several values. -#}
{% macro combined(values) -%}
    {{ adapter.dispatch('combined', 'orb_learning')(values) }}
{%- endmacro %}

{% macro default__combined(values) -%}
    cast(hash({{ values | join(', ') }}) % 9223372036854775807 as bigint)
{%- endmacro %}
