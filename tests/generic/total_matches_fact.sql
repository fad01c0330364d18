{#-
    A total over the model equals the number of executions. With `window_days` the model holds the
    days of a window, and the two are compared day by day: no day of the window may be missing, and
    a day that has left it since the model was built must still be whole.

        data_tests:
          - total_matches_fact: {arguments: {total: 'sum(total_tasks)', window_days: 7}}
-#}
{% test total_matches_fact(model, total, window_days=none) %}
    {%- set day = 'cast(null as date)' if window_days is none else 'date' -%}
    with counted as (

        select
            {{ day }} as day,
            {{ total }} as built_total,
            0 as fact_total
        from {{ model }}
        group by 1

        union all

        select
            {{ day }} as day,
            0 as built_total,
            count(*) as fact_total
        from {{ ref('executions') }}
        group by 1

    ),

    days as (

        select
            day,
            sum(built_total) as built_total,
            sum(fact_total) as fact_total
        from counted
        group by day

    )

    select *
    from days
    where built_total != fact_total
    {%- if window_days is not none %}
        and (built_total > 0 or {{ within_window('day', window_days) }})
    {%- endif %}
{% endtest %}
