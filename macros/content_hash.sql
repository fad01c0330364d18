{#- The md5 of the text that stands for an execution in similarity search. -#}
{% macro content_hash(relation) -%}
    {%- set row = relation -%}
    md5(
            concat_ws(
                ' | ',
                'type: ' || {{ row }}.task_type,
                'task: ' || {{ row }}.task_description,
                'repo: ' || {{ row }}.repo,
                'tier: ' || {{ row }}.model_tier,
                'pool: ' || {{ row }}.pool_type,
                'topology: ' || {{ row }}.swarm_topology,
                'success: ' || cast({{ row }}.success as string),
                'solution: ' || {{ row }}.solution_summary
            )
        )
{%- endmacro %}
