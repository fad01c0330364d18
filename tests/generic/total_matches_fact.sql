{#-
    A total over the model equals the number of executions, in the last `window_days` days where
    given.

        data_tests:
          - total_matches_fact: {arguments: {total: 'sum(total_tasks)', window_days: 7}}
-#}
{% test total_matches_fact(model, total, window_days=none) %}
    with built as (

        select coalesce({{ total }}, 0) as total
        from {{ model }}

    ),

    fact as (

        select count(*) as total
        from {{ ref('executions') }}
        {% if window_days is not none %}
        where {{ within_window('date', window_days) }}
        {% endif %}

    )

    select
        built.total as built_total,
        fact.total as fact_total
    from built
    cross join fact
    where built.total != fact.total
{% endtest %}
