{#-
    The expression is true for every row; null counts as false.

        data_tests:
          - expression_is_true: {arguments: {expression: 'lines = loaded + duplicates + quarantined'}}
-#}
{% test expression_is_true(model, expression) %}
    select *
    from {{ model }}
    where not coalesce({{ expression }}, false)
{% endtest %}
