{#-
    Aggregate: one BIGINT that changes whenever the set of rows changes, in any order of rows.
    Hashes of hashes are summed: a plain xor of row hashes was seen to collide.
-#}
{% macro fingerprint(columns) -%}
    {{ adapter.dispatch('fingerprint', 'orb_learning')(columns) }}
{%- endmacro %}

{% macro default__fingerprint(columns) -%}
    cast(sum(cast(hash(hash({{ columns | join(', ') }})) as hugeint)) % 9223372036854775807 as bigint)
{%- endmacro %}

{#- One BIGINT that stands for several values. -#}
{% macro combined(values) -%}
    {{ adapter.dispatch('combined', 'orb_learning')(values) }}
{%- endmacro %}

{% macro default__combined(values) -%}
    cast(hash({{ values | join(', ') }}) % 9223372036854775807 as bigint)
{%- endmacro %}
