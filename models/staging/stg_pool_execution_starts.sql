select * from {{ source('raw', 'pool_execution_start') }}
