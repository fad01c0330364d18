{#- What the var `routing_arm` calls an arm: `model_tier`, `pool_type` or `both`. -#}
{% macro arm_kind() %}
    {%- set kind = var('routing_arm') -%}
    {%- if kind not in ('model_tier', 'pool_type', 'both') -%}
        {{- exceptions.raise_compiler_error(
            "routing_arm must be model_tier, pool_type or both, not '" ~ kind ~ "'"
        ) -}}
    {%- endif -%}
    {{- return(kind) -}}
{% endmacro %}

{#-
    The arm of an execution, its text; null where it is unknown. Of both, a tier and a pool are joined by ` | `,
    and a `|` in their names is doubled, so that no two pairs share a text.
-#}
{% macro arm(executions='') -%}
    {%- if arm_kind() == 'both' -%}
    replace(nullif({{ executions }}model_tier, 'unknown'), '|', '||')
    || ' | ' || replace(nullif({{ executions }}pool_type, 'unknown'), '|', '||')
    {%- else -%}
    nullif({{ executions }}{{ arm_kind() }}, 'unknown')
    {%- endif -%}
{%- endmacro %}

{#- The tier or pool that an arm names; null where it names none. -#}
{% macro arm_part(column) -%}
    {%- if arm_kind() in (column, 'both') -%}
    {{ column }}
    {%- else -%}
    cast(null as string)
    {%- endif -%}
{%- endmacro %}
