select * from {{ source('raw', 'pool_created') }}
