select
    *,
    case
        when feedback_type in ('thumbs_up', 'accepted') then true
        when feedback_type in ('thumbs_down', 'rejected') then false
    end as is_accepted
from {{ source('raw', 'feedback') }}
