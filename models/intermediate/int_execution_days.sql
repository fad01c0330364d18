{{ config(materialized='table') }}

with final as (

    select
        date,
        count(*) as executions,
        {{ combined(['count(*)', 'cast(sum(load_id) as bigint)', 'max(load_id)']) }} as fingerprint
    from {{ ref('executions') }}
    group by date

)

select * from final
