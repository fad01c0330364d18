{#- What each engine spells in its own way. An engine without its form of one fails by the name of the macro. -#}

{#- The id of an attempt: the task's own for the first, a UUID spelled by an md5 for the others. -#}
{% macro attempt_task_id(task_id, attempt) -%}
    {{ adapter.dispatch('attempt_task_id', 'orb_learning')(task_id, attempt) }}
{%- endmacro %}

{#- One BIGINT that stands for several values. -#}
{% macro combined(values) -%}
    {{ adapter.dispatch('combined', 'orb_learning')(values) }}
{%- endmacro %}

{#- Aggregate: the values as a list, ordered by another column. -#}
{% macro ordered_list(value, position) -%}
    {{ adapter.dispatch('ordered_list', 'orb_learning')(value, position) }}
{%- endmacro %}

{#- The names of the columns that are null, as a list in their order. -#}
{% macro nulls_among(columns) -%}
    {{ adapter.dispatch('nulls_among', 'orb_learning')(columns) }}
{%- endmacro %}

{#- One value as a list. -#}
{% macro list_of(value) -%}
    {{ adapter.dispatch('list_of', 'orb_learning')(value) }}
{%- endmacro %}

{#- JSON objects as one that has the keys of all; where several have a key, the first of them says its value. -#}
{% macro merged_objects(values) -%}
    {{ adapter.dispatch('merged_objects', 'orb_learning')(values) }}
{%- endmacro %}

{#- A timestamp moved back by a DOUBLE of seconds, to the microsecond. -#}
{% macro seconds_before(moment, seconds) -%}
    {{ adapter.dispatch('seconds_before', 'orb_learning')(moment, seconds) }}
{%- endmacro %}

{#- The DOUBLE of seconds from one timestamp to another. -#}
{% macro seconds_between(first, last) -%}
    {{ adapter.dispatch('seconds_between', 'orb_learning')(first, last) }}
{%- endmacro %}

{#- Aggregate: the values of the latest moments as a list, the latest first. -#}
{% macro newest(value, moment, count) -%}
    {{ adapter.dispatch('newest', 'orb_learning')(value, moment, count) }}
{%- endmacro %}

{#- A list without any values of a type. -#}
{% macro empty_list(type) -%}
    {{ adapter.dispatch('empty_list', 'orb_learning')(type) }}
{%- endmacro %}
