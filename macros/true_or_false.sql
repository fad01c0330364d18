{#- A var that is a switch; whatever else it is, is refused. -#}
{% macro true_or_false(name) %}
    {%- if var(name) is not boolean -%}
        {{- exceptions.raise_compiler_error(name ~ " must be true or false, not '" ~ var(name) ~ "'") -}}
    {%- endif -%}
    {{- return(var(name)) -}}
{% endmacro %}
