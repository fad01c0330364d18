{#-
    The original tasks that anything new is known of: those with a row in `upstream` of a later
    load than the newest that `target` holds. The watermark may lag behind, which repeats work,
    but never runs ahead: a row's load_id is at most what was loaded when the row was built. An
    erasure needs no place here: the loader deletes the raw rows and has everything built anew.
-#}
{% macro changed_tasks(target, upstream, task_key='task_id') %}
    select {{ task_key }} as task_id
    from {{ upstream }}
    where {{ loaded_since(target) }}
{% endmacro %}

{#-
    True for rows of a later load than the newest that `target` holds. All rows that a model keeps
    of one task carry the task's newest load, so this finds a changed task's rows without a join,
    and skips what zone maps say is older.
-#}
{% macro loaded_since(target) -%}
    load_id > (select coalesce(max(load_id), 0) from {{ target }})
{%- endmacro %}

{#-
    True for rows of the tasks that `replace_tasks` replaces, those that `upstream` tells something new
    of; for all rows in a full build.
-#}
{% macro of_changed_tasks(upstream, task_key) -%}
    {%- if is_incremental() -%}
    {{ loaded_since(this) }}
        and {{ task_key }} in ({{ changed_tasks(this, upstream) }})
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{#- The newest load, a number, that `relation` holds a row of; 0 if it has none. -#}
{% macro newest_load(relation) %}
    {{- return(number_of('select coalesce(max(load_id), 0) as newest_load from ' ~ relation)) -}}
{% endmacro %}

{#- The oldest load, a number, that told of any task in `relation`; `otherwise` if there is none. -#}
{% macro first_load(relation, condition='true', otherwise=0) %}
    {{- return(number_of(
        'select coalesce(min(first_load_id), ' ~ otherwise ~ ') as oldest_load from ' ~ relation
        ~ ' where ' ~ condition
    )) -}}
{% endmacro %}

{#-
    The oldest load, a number, that told `target` of any task that `upstream` has new rows of since the
    load `newest`; that one if all these tasks are new.
-#}
{% macro first_load_of_changed(target, upstream, newest) %}
    {{- return(first_load(
        target, 'task_id in (select task_id from ' ~ upstream ~ ' where load_id > ' ~ newest ~ ')', newest
    )) -}}
{% endmacro %}

{#- The one number that `query` selects; where dbt must not ask (`--no-introspect`), a subquery for it. -#}
{% macro number_of(query) %}
    {%- if not flags.INTROSPECT -%}
        {{- return('(' ~ query ~ ')') -}}
    {%- endif -%}
    {{- return(run_query(query).columns[0].values()[0] | int) -}}
{% endmacro %}
