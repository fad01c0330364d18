{#- A number as a sum of it alone gives it. -#}
{% macro reproducible(value) -%}
    cast(cast({{ value }} as decimal(28, 9)) as double)
{%- endmacro %}

{#- The mean of the values that are known, equal to the last bit in any order of the rows. -#}
{% macro reproducible_sum(value) -%}
    cast(sum(cast({{ value }} as decimal(28, 9))) as double)
{%- endmacro %}

{% macro reproducible_avg(value) -%}
    {{ reproducible_sum(value) }} / nullif(count({{ value }}), 0)
{%- endmacro %}
