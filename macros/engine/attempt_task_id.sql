{#- The id of an attempt: the task's own for the first, a UUID spelled by an md5 for the others. -#}
{% macro attempt_task_id(task_id, attempt) -%}
    {{ adapter.dispatch('attempt_task_id', 'orb_learning')(task_id, attempt) }}
{%- endmacro %}

{% macro default__attempt_task_id(task_id, attempt) -%}
    case
        when {{ attempt }} = 1 then {{ task_id }}
        else cast(md5(cast({{ task_id }} as varchar) || '/attempt/' || cast({{ attempt }} as varchar)) as uuid)
    end
{%- endmacro %}
