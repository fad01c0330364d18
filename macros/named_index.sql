{#- Post-hook: a plain named index, or its removal where the var `indexes` is off. -#}
{% macro named_index(name, columns) %}
    {%- if true_or_false('indexes') -%}
        create index if not exists {{ name }} on {{ this }} ({{ columns | join(', ') }})
    {%- else -%}
        drop index if exists {{ this.schema }}.{{ name }}
    {%- endif -%}
{% endmacro %}
