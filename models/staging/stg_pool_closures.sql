select * from {{ source('raw', 'pool_closed') }}
