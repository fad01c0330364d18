{#-
    A number, and a sum of the values that are known, as a whole number of billionths: equal to the last bit in any
    order of the rows. It is rounded as a double first, for engines differ in how they round one into a decimal.
-#}
{% macro reproducible(value) -%}
    cast(cast(round({{ value }} * 1e9) as decimal(28, 0)) as double) / 1e9
{%- endmacro %}

{% macro reproducible_sum(value) -%}
    cast(sum(cast(round({{ value }} * 1e9) as decimal(28, 0))) as double) / 1e9
{%- endmacro %}

{#- Their mean. -#}
{% macro reproducible_avg(value) -%}
    {{ reproducible_sum(value) }} / nullif(count({{ value }}), 0)
{%- endmacro %}
