{#-
    True where a moment is not before the first day that executions are kept of. Only
    `orb-learning prune` moves that day, and a load that finds it yet to come; either has everything
    built anew.
-#}
{% macro is_retained(moment) %}
    cast({{ moment }} as date) >= (
        select coalesce(max(executions_from), date '1970-01-01')
        from {{ source('ledger', 'retention') }}
    )
{%- endmacro %}
