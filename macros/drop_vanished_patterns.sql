{#- Pre-hook of solution_patterns: drops what no longer has enough uses in the window. -#}
{% macro drop_vanished_patterns() %}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where (solution_summary, repo) not in (
            select
                solution_summary,
                repo
            from {{ ref('int_solution_days') }}
            where solution_summary is not null
                and {{ within_window('date', var('pattern_window_days')) }}
            group by solution_summary, repo
            having sum(usage_count) >= {{ pattern_min_uses() }}
        )
    {%- endif -%}
{% endmacro %}
