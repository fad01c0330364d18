select * from {{ source('raw', 'task_completed') }}
