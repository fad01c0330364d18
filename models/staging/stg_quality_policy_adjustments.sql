select * from {{ source('raw', 'quality_policy_adjusted') }}
