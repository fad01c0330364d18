{#-
    At the end of `dbt run` and `dbt build`: hand the outcome of every node to the plugin, which
    publishes their tables if all models were built and nothing failed. What else lies in the schema was
    not built by this run: a model's that is no more, or what a killed run left. A table that grows
    with the history says in its `config.meta.published` by which key its rows change, and which model
    has the keys that changed; see `orb_learning.publication.Keyed`.
-#}
{% macro publish(results) %}
    {%- set keeps_later = not true_or_false('publish_past') and var('as_of', none) is not none -%}
    {%- if execute and target.type == 'duckdb' and flags.WHICH in ('run', 'build') -%}
        {%- set expected = [] -%}
        {%- set tables = [] -%}
        {%- set keyed = {} -%}
        {%- for node in graph.nodes.values() -%}
            {%- if node.resource_type == 'model' and node.config.materialized not in ('ephemeral', 'view') -%}
                {%- do expected.append(node.unique_id) -%}
                {%- if (node.database, node.schema) == (target.database, target.schema) -%}
                    {%- do tables.append(node.alias) -%}
                {%- endif -%}
            {%- endif -%}
            {%- if node.config.meta.published -%}
                {%- set said = dict(node.config.meta.published) -%}
                {%- set source = graph.nodes['model.orb_learning.' ~ said.source] -%}
                {%- do keyed.update({node.alias: dict(said, source=source.relation_name)}) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set statuses = {} -%}
        {%- set messages = [] -%}
        {%- for result in results -%}
            {%- do statuses.update({result.node.unique_id: result.status | string}) -%}
            {%- do messages.append(result.message | string) -%}
        {%- endfor -%}
        {%- do adapter.store_relation(
            'orb_learning',
            api.Relation.create(database=target.database, schema=target.schema, identifier='publication'),
            [], '', '',
            {
                'expected': expected, 'statuses': statuses, 'messages': messages,
                'as_of': as_of_moment().isoformat(), 'tables': tables, 'keyed': keyed,
                'keeps_later': keeps_later,
            }
        ) -%}
    {%- endif -%}
{% endmacro %}
