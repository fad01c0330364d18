{#-
    Every value that is not null lies between the bounds, both included.

        data_tests:
          - accepted_range: {arguments: {min_value: 0, max_value: 1}}
-#}
{% test accepted_range(model, column_name, min_value=none, max_value=none) %}
    {%- if min_value is none and max_value is none -%}
        {{ exceptions.raise_compiler_error("accepted_range needs a min_value, a max_value, or both") }}
    {%- endif -%}
    {%- for bound in [min_value, max_value] if bound is not none -%}
        {%- if not modules.re.fullmatch('-?[0-9]+([.][0-9]+)?', bound | string) -%}
            {{ exceptions.raise_compiler_error("accepted_range needs numbers, not '" ~ bound ~ "'") }}
        {%- endif -%}
    {%- endfor %}
    select {{ column_name }}
    from {{ model }}
    where false
    {% if min_value is not none %}or {{ column_name }} < {{ min_value }}{% endif %}
    {% if max_value is not none %}or {{ column_name }} > {{ max_value }}{% endif %}
{% endtest %}
