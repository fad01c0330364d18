{#-
    On `ledger.loads`: the raw tables and quarantine hold what the loads brought, less what has been
    removed since.

        data_tests:
          - accounts_for_every_row
-#}
{% test accounts_for_every_row(model) %}
    {%- set raw_tables = [] -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() if source.source_name == 'raw' -%}
            {%- do raw_tables.append(source.identifier) -%}
        {%- endfor -%}
    {%- endif %}

with removed as (

    select
        coalesce(sum(case when table_name = 'ledger.quarantine' then row_count end), 0)
            as quarantined,
        coalesce(sum(case when table_name != 'ledger.quarantine' then row_count end), 0) as loaded
    from {{ source('ledger', 'removals') }}

),

owed as (

    select
        coalesce(sum(loads.loaded), 0) - any_value(removed.loaded) as raw_rows,
        coalesce(sum(loads.quarantined), 0) - any_value(removed.quarantined) as quarantine_rows
    from removed
    left join {{ model }} as loads on true

),

held as (

    select
        (select count(*) from {{ source('ledger', 'quarantine') }}) as quarantine_rows,
        0
        {%- for table in raw_tables | sort %}
        + (select count(*) from {{ source('raw', table) }})
        {%- endfor %} as raw_rows

)

select
    owed.raw_rows as raw_rows_owed,
    held.raw_rows as raw_rows_held,
    owed.quarantine_rows as quarantine_rows_owed,
    held.quarantine_rows as quarantine_rows_held
from owed
cross join held
where owed.raw_rows != held.raw_rows
    or owed.quarantine_rows != held.quarantine_rows
{% endtest %}
