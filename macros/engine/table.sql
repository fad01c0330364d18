{#-
    A table that takes its predecessor's place in one transaction of two statements. dbt's own builds it under another
    name and renames both, for engines that cannot drop a table and take it back.
-#}
{% materialization table, adapter='duckdb' -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if existing is not none -%}
        {%- call statement('replaced') %}
            drop {{ existing.type }} if exists {{ existing }}
        {%- endcall %}
    {%- endif -%}
    {% call statement('main') -%}
        {{ create_table_as(False, target, compiled_code) }}
    {%- endcall %}
    {% do create_indexes(target) %}
    {% do persist_docs(target, model) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target]}) }}
{%- endmaterialization %}
