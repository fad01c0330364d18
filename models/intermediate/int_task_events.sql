{#- Fields that any event of a task may carry, with the type that an absent one is null of. -#}
{%- set fields = {
    'task_type': 'varchar', 'task_description': 'varchar', 'repo': 'varchar',
    'file_count': 'integer', 'estimated_tokens': 'integer', 'model_tier': 'varchar',
    'pool_type': 'varchar', 'swarm_topology': 'varchar', 'routing_confidence': 'double',
    'complexity_score': 'integer', 'success': 'boolean', 'duration_seconds': 'double',
    'quality_score': 'integer', 'cost_estimate': 'double', 'actual_cost': 'double',
    'error_type': 'varchar', 'error_message': 'varchar', 'user_accepted': 'boolean',
    'user_rating': 'integer', 'peak_memory_mb': 'double', 'cpu_time_seconds': 'double',
    'solution_summary': 'varchar', 'policy_version': 'varchar', 'propensity': 'double',
    'candidates': 'json', 'metadata': 'json', 'routed_at': 'timestamp',
} -%}
{%- set routing = [
    'task_type', 'task_description', 'repo', 'file_count', 'estimated_tokens', 'model_tier',
    'pool_type', 'swarm_topology', 'routing_confidence', 'complexity_score', 'cost_estimate',
    'policy_version', 'propensity', 'candidates', 'metadata',
] -%}
{%- set outcome = [
    'success', 'duration_seconds', 'quality_score', 'cost_estimate', 'actual_cost', 'error_type',
    'error_message', 'peak_memory_mb', 'cpu_time_seconds', 'solution_summary', 'metadata',
] -%}
{#- For the same fact the source with the higher rank wins; an expression may stand for a field. -#}
{%- set sources = [
    ('routing_decision', 1, 'stg_routing_decisions', routing, {}),
    ('pool_execution_start', 2, 'stg_pool_execution_starts',
        ['pool_type', 'swarm_topology', 'metadata'], {}),
    ('task_completed', 3, 'stg_task_completions', outcome + ['pool_type'], {}),
    ('pool_execution_complete', 4, 'stg_pool_execution_completes',
        outcome + ['pool_type', 'swarm_topology'], {}),
    ('routing_outcome', 5, 'stg_routing_outcomes', outcome, {}),
    ('execution_recorded', 6, 'stg_recorded_executions',
        routing + outcome + ['user_accepted', 'user_rating'], {'routed_at': 'timestamp'}),
    ('feedback', 7, 'stg_feedback', [], {'user_accepted': 'is_accepted', 'user_rating': 'rating'}),
] -%}

with final as (

    {% for event_type, rank, model, carried, expressions in sources %}
    {% if not loop.first %}union all{% endif %}
    select
        task_id,
        '{{ event_type }}' as event_type,
        {{ rank }} as source_rank,
        attempt,
        occurred_at,
        captured_at,
        event_id,
        event_hash,
        load_id
        {%- for field, type in fields.items() -%}
        ,
        {% if field in expressions %}{{ expressions[field] }} as {{ field }}
        {%- elif field in carried %}{{ field }}
        {%- else %}cast(null as {{ type }}) as {{ field }}
        {%- endif %}
        {%- endfor %}
    from {{ ref(model) }}
    {% endfor %}

)

select * from final
