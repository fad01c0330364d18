{#-
    A number, and a sum of the values that are known, as a whole number of billionths: equal to the last bit in any
    order of the rows. It is rounded as a double first, for engines differ in how they round one into a decimal.
-#}
{% macro reproducible(value) -%}
    {{ of_billionths(billionths(value)) }}
{%- endmacro %}

{#- `over` makes it one of a window. -#}
{% macro reproducible_sum(value, over='') -%}
    {{ of_billionths('sum(' ~ billionths(value) ~ ')' ~ over) }}
{%- endmacro %}

{#- Their mean. -#}
{% macro reproducible_avg(value, over='') -%}
    {{ reproducible_sum(value, over) }} / nullif(count({{ value }}){{ over }}, 0)
{%- endmacro %}

{#- The sum as that whole number, of the rows that meet the condition: what is taken out of it again leaves no trace. -#}
{% macro exact_sum(value, condition='true') -%}
    coalesce(sum(case when {{ condition }} then {{ billionths(value) }} end), 0)
{%- endmacro %}

{% macro billionths(value) -%}
    cast(round(({{ value }}) * 1e9) as decimal(38, 0))
{%- endmacro %}

{% macro of_billionths(value) -%}
    cast({{ value }} as double) / 1e9
{%- endmacro %}
