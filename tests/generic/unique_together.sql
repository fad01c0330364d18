{#-
    No two rows agree in all the columns; nulls count as equal.

        data_tests:
          - unique_together: {arguments: {columns: [repo, hour]}}
-#}
{% test unique_together(model, columns) %}
    select
        {{ columns | join(', ') }},
        count(*) as rows_with_this_key
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
