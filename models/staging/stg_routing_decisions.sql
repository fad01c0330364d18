select * from {{ source('raw', 'routing_decision') }}
