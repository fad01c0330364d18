{{ config(materialized='table') }}

with final as (

    select
        task_group,
        min(task_type) as task_type,
        max(date) as date,
        {{ version_of_executions() }} as fingerprint
    from {{ ref('executions') }}
    where task_group is not null
    group by task_group

)

select * from final
