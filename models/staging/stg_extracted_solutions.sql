select * from {{ source('raw', 'solution_extracted') }}
