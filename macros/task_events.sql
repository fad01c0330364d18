{#- Fields that an event of a task may carry, with the type that an absent one is null of. -#}
{% macro task_event_fields() %}
    {{ return({
        'task_type': 'varchar', 'task_description': 'varchar', 'repo': 'varchar',
        'file_count': 'integer', 'estimated_tokens': 'integer', 'model_tier': 'varchar',
        'pool_type': 'varchar', 'swarm_topology': 'varchar', 'routing_confidence': 'double',
        'complexity_score': 'integer', 'success': 'boolean', 'duration_seconds': 'double',
        'quality_score': 'integer', 'cost_estimate': 'double', 'actual_cost': 'double',
        'error_type': 'varchar', 'error_message': 'varchar', 'user_accepted': 'boolean',
        'user_rating': 'integer', 'peak_memory_mb': 'double', 'cpu_time_seconds': 'double',
        'solution_summary': 'varchar', 'policy_version': 'varchar', 'propensity': 'double',
        'candidates': 'json', 'task_group': 'varchar', 'routed_at': 'timestamp',
        'duration_source': 'varchar', 'metadata': 'json',
    }) }}
{% endmacro %}

{#-
    What tells of a task, from the lowest rank to the highest: for the same fact the source with
    the higher rank wins. `carried` maps each field of the source to its expression there;
    `decision_id` is the decision that an event is about, which names itself.
-#}
{% macro task_event_sources() %}
    {%- set routing = [
        'task_type', 'task_description', 'repo', 'file_count', 'estimated_tokens', 'model_tier',
        'pool_type', 'swarm_topology', 'routing_confidence', 'complexity_score', 'cost_estimate',
        'policy_version', 'propensity', 'candidates', 'task_group', 'metadata',
    ] -%}
    {%- set outcome = [
        'success', 'duration_seconds', 'duration_source', 'quality_score', 'cost_estimate',
        'actual_cost', 'error_type', 'error_message', 'peak_memory_mb', 'cpu_time_seconds',
        'solution_summary', 'metadata',
    ] -%}
    {#- `unknown` is what a hook and `executions` write where nobody says it. Where a duration is known
        is said with it, or the two could come from different events. -#}
    {%- set spelled = {
        'task_type': "nullif(task_type, 'unknown')",
        'repo': "nullif(repo, 'unknown')",
        'model_tier': "nullif(model_tier, 'unknown')",
        'pool_type': "nullif(pool_type, 'unknown')",
        'duration_source':
            "case when duration_seconds is not null then coalesce(duration_source, 'reported') end",
    } -%}
    {%- set sources = [
        ('routing_decision', 1, 'stg_routing_decisions', routing, {}, 'event_id'),
        ('pool_execution_start', 2, 'stg_pool_execution_starts',
            ['pool_type', 'swarm_topology', 'metadata'], {}, 'decision_id'),
        ('task_completed', 3, 'stg_task_completions', outcome + ['pool_type'], {}, 'decision_id'),
        ('pool_execution_complete', 4, 'stg_pool_execution_completes',
            outcome + ['pool_type', 'swarm_topology'], {}, 'decision_id'),
        ('routing_outcome', 5, 'stg_routing_outcomes', outcome, {}, 'decision_id'),
        ('execution_recorded', 6, 'stg_recorded_executions',
            routing + outcome + ['user_accepted', 'user_rating'],
            {'routed_at': 'case when timestamp_source is null then timestamp end'}, 'decision_id'),
        ('feedback', 7, 'stg_feedback', [],
            {'user_accepted': 'is_accepted', 'user_rating': 'rating'}, none),
    ] -%}
    {%- set found = [] -%}
    {%- for event_type, rank, model, named, expressions, decision_id in sources -%}
        {%- set carried = dict(expressions) -%}
        {%- for field in named -%}
            {%- do carried.update({field: spelled.get(field, field)}) -%}
        {%- endfor -%}
        {%- do found.append({
            'event_type': event_type, 'rank': rank, 'model': model, 'carried': carried,
            'decision_id': decision_id or cast('null', 'uuid'),
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}
