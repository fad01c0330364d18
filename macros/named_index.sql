{#- Post-hook: a plain named index, or its removal where the var `indexes` is off. -#}
{% macro named_index(name, columns) %}
    {%- if var('indexes') is not boolean -%}
        {{- exceptions.raise_compiler_error(
            "indexes must be true or false, not '" ~ var('indexes') ~ "'"
        ) -}}
    {%- endif -%}
    {%- if var('indexes') -%}
        create index if not exists {{ name }} on {{ this }} ({{ columns | join(', ') }})
    {%- else -%}
        drop index if exists {{ this.schema }}.{{ name }}
    {%- endif -%}
{% endmacro %}
