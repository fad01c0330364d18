{#-
    A full build in parts. Joining all events of all tasks at once goes to disk several times over, so
    where the engine allows it a model is built from `full_build_tasks` tasks at a time, in the order of their
    loads, and each part reads only the loads it is about:

        config(pre_hook="{{ begin_full_build(upstream) }}", post_hook="{{ finish_full_build() }}")

    The model's SQL takes the tasks of the part from `task_spans` and asks `in_part` of their events.
    Tasks whose events lie in the loads of several parts come last. The parts are as many statements
    of one transaction, all with the model's one SQL: what differs is in a temporary table and two
    variables.
-#}
{% macro begin_full_build(upstream) %}
    {%- do full_build_tasks() -%}
    {%- if execute and not is_incremental() -%}
        {{ adapter.dispatch('begin_full_build', 'orb_learning')(upstream) }}
    {%- endif -%}
{% endmacro %}

{#- Post-hook: the other parts. -#}
{% macro finish_full_build() %}
    {%- if execute and 'full_build_part' in model.compiled_code -%}
        {{ adapter.dispatch('finish_full_build', 'orb_learning')() }}
    {%- endif -%}
{% endmacro %}

{#- The part's tasks: task_id, load_id, first_load_id, is_plain. All tasks, in a unit test. -#}
{% macro task_spans(upstream) -%}
    {{ adapter.dispatch('task_spans', 'orb_learning')(upstream) }}
{%- endmacro %}

{#- True for events that lie in the loads of the part; they may be of other tasks. -#}
{% macro in_part(load_id) -%}
    {{ adapter.dispatch('in_part', 'orb_learning')(load_id) }}
{%- endmacro %}

{#-
    All tasks with their newest and oldest load. A plain one has one event of each type at most, and
    no numbered attempt.
-#}
{% macro all_task_spans(upstream) -%}
    select
        task_id,
        max(load_id) as load_id,
        min(load_id) as first_load_id,
        count(*) = bit_count(bit_or(cast(power(2, source_rank) as integer)))
        and count(attempt) = 0 as is_plain
    from {{ upstream }}
    group by task_id
{%- endmacro %}

{% macro default__begin_full_build(upstream) %}{% endmacro %}

{% macro default__finish_full_build() %}{% endmacro %}

{% macro default__task_spans(upstream) -%}
    ({{ all_task_spans(upstream) }}
    )
{%- endmacro %}

{% macro default__in_part(load_id) -%}
    true
{%- endmacro %}

{% macro duckdb__begin_full_build(upstream) %}
    {%- do run_query(
        'create or replace temp table full_build_spans as ' ~ all_task_spans(upstream)
    ) -%}
    {{- enter_part(full_build_parts()[0]) -}}
{% endmacro %}

{% macro duckdb__finish_full_build() %}
    {%- for part in full_build_parts()[1:] -%}
        {%- do run_query(enter_part(part)) -%}
        {%- do run_query('insert into ' ~ this ~ ' by name ' ~ model.compiled_code) -%}
    {%- endfor -%}
    drop table temp.full_build_part;
    drop table temp.full_build_spans;
    reset variable full_build_after;
    reset variable full_build_up_to
{% endmacro %}

{% macro duckdb__task_spans(upstream) -%}
    {%- if model.resource_type == 'unit_test' -%}
        {{- default__task_spans(upstream) -}}
    {%- else -%}
        temp.full_build_part
    {%- endif -%}
{%- endmacro %}

{# A variable is a constant to DuckDB, so zone maps skip the other loads. #}
{% macro duckdb__in_part(load_id) -%}
    {{ load_id }} > coalesce(getvariable('full_build_after'), 0)
    and {{ load_id }} <= coalesce(getvariable('full_build_up_to'), 9223372036854775807)
{%- endmacro %}

{#- How many tasks a full build joins at a time: the var `full_build_tasks`. -#}
{% macro full_build_tasks() %}
    {%- set size = var('full_build_tasks') -%}
    {%- if not modules.re.fullmatch('[1-9][0-9]{0,8}', size | string) -%}
        {{- exceptions.raise_compiler_error(
            "full_build_tasks must be a whole number of tasks from 1 on, not '" ~ size ~ "'"
        ) -}}
    {%- endif -%}
    {{- return(size | int) -}}
{% endmacro %}

{#-
    Each part as a condition on the spans, and the loads `after` one and `up_to` another that its
    events lie in.
-#}
{% macro full_build_parts() %}
    {%- set size = full_build_tasks() -%}
    {%- set found = run_query(
        'select max(load_id) from (select first_load_id as load_id,'
        ~ ' (sum(count(*)) over (order by first_load_id) - 1) // ' ~ size ~ ' as number'
        ~ ' from full_build_spans group by first_load_id) as loads group by number order by 1'
    ) -%}
    {%- set ends = found.columns[0].values()[:-1] | map('int') | list -%}
    {%- set parts = [] -%}
    {%- for up_to in ends + [none] -%}
        {%- set after = none if loop.first else ends[loop.index0 - 1] -%}
        {%- set bounds = [] -%}
        {%- if after is not none -%}{%- do bounds.append('first_load_id > ' ~ after) -%}{%- endif -%}
        {%- if up_to is not none -%}{%- do bounds.append('load_id <= ' ~ up_to) -%}{%- endif -%}
        {%- do parts.append({
            'tasks': bounds | join(' and ') or 'true', 'after': after, 'up_to': up_to
        }) -%}
    {%- endfor -%}
    {%- if ends -%}
        {%- set local = parts | map(attribute='tasks') | join(') or (') -%}
        {%- set others = 'not ((' ~ local ~ '))' -%}
        {%- set count = run_query('select count(*) from full_build_spans where ' ~ others) -%}
        {%- set shares = (count.columns[0].values()[0] | int + size - 1) // size -%}
        {%- for share in range(shares) -%}
            {%- do parts.append({
                'tasks': others ~ ' and hash(task_id) % ' ~ shares ~ ' = ' ~ share,
                'after': none, 'up_to': none
            }) -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(parts) -}}
{% endmacro %}

{#- SQL that makes a part the one that the model's SQL is about. -#}
{% macro enter_part(part) %}
    create or replace temp table full_build_part as
    select * from full_build_spans where {{ part.tasks }};
    set variable full_build_after = {{ part.after or 'null' }};
    set variable full_build_up_to = {{ part.up_to or 'null' }}
{% endmacro %}
