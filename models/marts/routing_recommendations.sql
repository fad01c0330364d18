{%- set most = 20 %}
{%- set levels = {'everything': [], 'task_type': ['task_type'], 'repo': ['task_type', 'repo']} %}

with choices as (

    select *
    from {{ ref('int_arm_choices') }}

),

days as (

    select *
    from {{ ref('int_arm_days') }}
    where {{ within_window('date', var('evidence_window_days')) }}

),

{% for level, keys in levels.items() -%}
-- The newest days that have enough runs of the arm: of the others nothing is read.
{{ level }}_days as (

    select
        choices.repo,
        choices.task_type,
        choices.arm,
        days.date,
        sum(sum(days.runs)) over (
            partition by choices.repo, choices.task_type order by days.date desc
        ) - sum(days.runs) as newer_runs
    from choices
    inner join days
        on choices.arm = days.arm
        {%- for key in keys %}
        and choices.{{ key }} = days.{{ key }}
        {%- endfor %}
    where choices.level = '{{ level }}'
    group by choices.repo, choices.task_type, choices.arm, days.date

),

{{ level }}_support as (

    select
        '{{ level }}' as level,
        days.repo,
        days.task_type,
        {{ newest('executions.task_id', 'executions.timestamp', most) }} as task_ids
    from {{ level }}_days as days
    -- Read once a level and not as one CTE, so that a level of few days reads few of them.
    inner join {{ ref('executions') }} as executions
        on days.date = executions.date
        and days.arm = {{ arm('executions.') }}
        {%- for key in keys %}
        and days.{{ key }} = executions.{{ key }}
        {%- endfor %}
    where days.newer_runs < {{ most }}
    group by days.repo, days.task_type

),

{% endfor -%}
support as (

    {% for level in levels -%}
    select * from {{ level }}_support
    {{ 'union all' if not loop.last }}
    {% endfor -%}

),

final as (

    select
        choices.*,
        coalesce(support.task_ids, {{ empty_list('uuid') }}) as supporting_task_ids
    from choices
    left join support
        on choices.level = support.level
        and choices.repo is not distinct from support.repo
        and choices.task_type is not distinct from support.task_type

)

select * from final
