{#- A var as a whole number from 0 to 99999; whatever else it is must not become a part of SQL. -#}
{% macro whole_number(value, rule) %}
    {%- if not modules.re.fullmatch('[0-9]{1,5}', value | string) -%}
        {{- exceptions.raise_compiler_error(rule ~ ", not '" ~ value ~ "'") -}}
    {%- endif -%}
    {{- return(value | int) -}}
{% endmacro %}

{#- How far two hosts' clocks may differ: the var `max_clock_skew_seconds`. -#}
{% macro max_clock_skew_seconds() %}
    {{- return(whole_number(
        var('max_clock_skew_seconds'), 'max_clock_skew_seconds must be a whole number of seconds'
    )) -}}
{% endmacro %}

{#- How many uses in the window make a solution a pattern: the var `pattern_min_uses`. -#}
{% macro pattern_min_uses() %}
    {{- return(whole_number(var('pattern_min_uses'), 'pattern_min_uses must be a whole number')) -}}
{% endmacro %}
