select * from {{ source('raw', 'execution_recorded') }}
