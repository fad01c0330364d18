{{ config(materialized='table') }}

with final as (

    select
        date,
        count(*) as executions,
        {{ fingerprint(['task_id', 'load_id']) }} as fingerprint
    from {{ ref('executions') }}
    group by date

)

select * from final
