{{ config(materialized='table') }}

with final as (

    select
        date,
        count(*) as executions,
        {{ version_of_executions() }} as fingerprint
    from {{ ref('executions') }}
    group by date

)

select * from final
