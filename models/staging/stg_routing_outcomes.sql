select * from {{ source('raw', 'routing_outcome') }}
