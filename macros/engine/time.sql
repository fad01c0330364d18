{#- A timestamp moved back by a DOUBLE of seconds, to the microsecond. -#}
{% macro seconds_before(moment, seconds) -%}
    {{ adapter.dispatch('seconds_before', 'orb_learning')(moment, seconds) }}
{%- endmacro %}

{% macro default__seconds_before(moment, seconds) -%}
    {{ moment }} - to_microseconds(cast(round({{ seconds }} * 1000000) as bigint))
{%- endmacro %}

{#- The DOUBLE of seconds from one timestamp to another. -#}
{% macro seconds_between(first, last) -%}
    {{ adapter.dispatch('seconds_between', 'orb_learning')(first, last) }}
{%- endmacro %}

{% macro default__seconds_between(first, last) -%}
    (epoch_us({{ last }}) - epoch_us({{ first }})) / 1000000.0
{%- endmacro %}
