{#- What an execution of a date weighs as evidence: half for every `evidence_half_life_days` before `as_of`'s date. -#}
{% macro evidence_weight(date_column) -%}
    {%- set half_life = var('evidence_half_life_days') -%}
    {%- if half_life is none -%}
    cast(1 as double)
    {%- else -%}
    {%- set half_life = positive_number('evidence_half_life_days') -%}
    round(power(
        cast(2 as double),
        -cast({{ dbt.datediff(date_column, as_of_date(), 'day') }} as double) / {{ half_life }}
    ), 9)
    {%- endif -%}
{%- endmacro %}

{#- A run whose reported cost is above this many times what is usual counts in no cost. -#}
{% macro cost_outlier() -%}
    200
{%- endmacro %}

{#- How many arms are looked at, those with most runs first: each has a row in every cell. -#}
{% macro max_arms() -%}
    100
{%- endmacro %}

{#- A var as a whole number. -#}
{% macro whole_var(name) -%}
    {{- whole_number(var(name), name ~ ' must be a whole number') -}}
{%- endmacro %}

{#- A var as a number above 0, for SQL; whatever else it is must not become a part of it. -#}
{% macro positive_number(name) -%}
    {%- set text = var(name) | string -%}
    {%- if not modules.re.fullmatch('[0-9]{1,9}([.][0-9]{1,9})?', text) or text | float == 0 -%}
        {{- exceptions.raise_compiler_error(name ~ " must be a number above 0, not '" ~ text ~ "'") -}}
    {%- endif -%}
    {{- return('cast(' ~ text ~ ' as double)') -}}
{%- endmacro %}

{#- Log odds of a share, its inverse, and a share that is neither certain nor impossible. -#}
{% macro log_odds(share) -%}
    ln(({{ share }}) / (1 - ({{ share }})))
{%- endmacro %}

{% macro share_of(log_odds) -%}
    1 / (1 + exp(-({{ log_odds }})))
{%- endmacro %}

{% macro possible(share) -%}
    least(greatest({{ share }}, 0.02), 0.98)
{%- endmacro %}

{#-
    Aggregate: how many runs the expected share of successes is worth beside a cell's own, from how much more the cells
    differ from it than chance makes them. `usual` is what the cells' correlation is taken for with little to go by,
    `least` the smallest believed.
-#}
{% macro prior_strength(successes, tries, expected, usual, least) -%}
    {%- set expected = bounded_share(expected) -%}
    {%- set by_chance = tries ~ ' * ' ~ expected ~ ' * (1 - ' ~ expected ~ ')' -%}
    {%- set excess = 'power(' ~ successes ~ ' - ' ~ tries ~ ' * ' ~ expected ~ ', 2) - ' ~ by_chance -%}
    1 / least(greatest(
        ({{ reproducible_sum(excess) }} + 200 * {{ usual }})
        / ({{ reproducible_sum('greatest(' ~ tries ~ ' - 1, 0) * ' ~ by_chance) }} + 200),
        {{ least }}
    ), 1.0 / 3) - 1
{%- endmacro %}

{% macro bounded_share(share) -%}
    least(greatest({{ share }}, 0.01), 0.99)
{%- endmacro %}

{#-
    The cells of one level with what is expected of them, as they are believed: their own successes beside as many of
    the expected ones as the level's strength. Their variance holds that of the level above, by its part in them.
-#}
{% macro shrunk_success(cells, usual, least) -%}
    select
        level,
        repo,
        task_type,
        arm,
        share,
        share * (1 - share) / (weighted_tries + strength + 1)
        + power(strength / (weighted_tries + strength), 2) * parent_variance as variance
    from (
        select
            cells.*,
            strengths.strength,
            (cells.weighted_successes + strengths.strength * cells.expected)
            / (cells.weighted_tries + strengths.strength) as share
        from {{ cells }} as cells
        cross join (
            select {{ prior_strength('weighted_successes', 'weighted_tries', 'expected', usual, least) }} as strength
            from {{ cells }}
        ) as strengths
    ) as shrunk
{%- endmacro %}

{#-
    How far a failure before lowers the log odds of an arm: its tries after it beside as many of what `usual_drop` makes
    of its share `alone` as 20. No failure makes an arm better.
-#}
{% macro log_odds_drop(alone, usual_drop, sums) -%}
    greatest(
        {{ log_odds(alone) }}
        - {{ log_odds(
            '(' ~ sums ~ 'successes + 20 * ' ~ share_of(log_odds(alone) ~ ' - ' ~ usual_drop)
            ~ ') / (' ~ sums ~ 'tries + 20)'
        ) }},
        0
    )
{%- endmacro %}

{#- What is expected of a run beside its success: the weighted sum of each is over so many weighted runs. -#}
{% macro arm_measures() %}
    {{ return({'cost': 'costs', 'duration': 'durations', 'quality': 'scores'}) }}
{% endmacro %}

{% macro measures_above(parent) -%}
    {% for measure in arm_measures() -%}
    {{ parent }}.{{ measure }} as parent_{{ measure }},
    {% endfor -%}
    {{ parent }}.cost_variance as parent_variance
{%- endmacro %}

{#-
    The cells of one level with what the level above expects of them: their own runs beside `strength` expected ones,
    these dearer or cheaper as all runs of the cell's repository and task type are.
-#}
{% macro shrunk_means(cells, strength) -%}
    {%- set shrunk = {} -%}
    {%- for measure, runs in arm_measures().items() -%}
        {%- do shrunk.update({measure:
            '(measured.weighted_' ~ measure ~ ' + ' ~ strength ~ ' * measured.parent_' ~ measure
            ~ ' * measured.' ~ measure ~ '_factor) / (measured.weighted_' ~ runs ~ ' + ' ~ strength ~ ')'
        }) -%}
    {%- endfor -%}
    select
        measured.level,
        measured.repo,
        measured.task_type,
        measured.arm,
        {% for measure, mean in shrunk.items() -%}
        {{ mean }} as {{ measure }},
        {% endfor -%}
        spread.cost_spread * power({{ shrunk.cost }}, 2) / (measured.weighted_costs + {{ strength }})
        + power({{ strength }} * measured.cost_factor / (measured.weighted_costs + {{ strength }}), 2)
        * measured.parent_variance as cost_variance
    from (
        select
            cells.*,
            {% for measure in arm_measures() -%}
            coalesce(
                (factors.{{ measure }} + 5 * factors.usual_{{ measure }})
                / nullif(factors.expected_{{ measure }} + 5 * factors.usual_{{ measure }}, 0),
                1
            ) as {{ measure }}_factor{{ ',' if not loop.last }}
            {% endfor -%}
        from {{ cells }} as cells
        -- Grouped and joined: as windows over each cell these sums take ten times as long.
        inner join (
            select
                repo,
                task_type,
                {% for measure, runs in arm_measures().items() -%}
                {{ reproducible_sum('weighted_' ~ measure) }} as {{ measure }},
                {{ reproducible_avg('parent_' ~ measure) }} as usual_{{ measure }},
                {{ reproducible_sum('weighted_' ~ runs ~ ' * parent_' ~ measure) }}
                as expected_{{ measure }}{{ ',' if not loop.last }}
                {% endfor -%}
            from {{ cells }}
            group by repo, task_type
        ) as factors
            on cells.repo is not distinct from factors.repo
            and cells.task_type is not distinct from factors.task_type
    ) as measured
    cross join spread
{%- endmacro %}

{#-
    Where a share of a mean and a variance lies with a certainty of `z` standard errors, as a Beta of that mean and
    variance has it (Paulson, from Wilson and Hilferty's cube root). Either end is the root of a quadratic, in the form
    that stays right where nearly all runs end alike; less than 0.1 successes or failures count as as many.
-#}
{% macro share_bound(share, variance, z) -%}
    {%- set runs = '(' ~ share ~ ' * (1 - ' ~ share ~ ') / ' ~ variance ~ ' - 1)' -%}
    {%- set won = 'greatest(' ~ share ~ ' * ' ~ runs ~ ', 0.1)' -%}
    {%- set lost = 'greatest((1 - ' ~ share ~ ') * ' ~ runs ~ ', 0.1)' -%}
    {%- set a = '(1 / (9 * ' ~ won ~ '))' -%}
    {%- set b = '(1 / (9 * ' ~ lost ~ '))' -%}
    {%- set above = 'greatest(power(1 - ' ~ a ~ ', 2) - ' ~ z * z ~ ' * ' ~ a ~ ', 0)' -%}
    {%- set below = '(power(1 - ' ~ b ~ ', 2) - ' ~ z * z ~ ' * ' ~ b ~ ')' -%}
    {%- set middle -%}
        ((1 - {{ a }}) * (1 - {{ b }}) + {{ z | abs }} * sqrt(greatest(
            power(1 - {{ a }}, 2) * {{ b }} + power(1 - {{ b }}, 2) * {{ a }} - {{ z * z }} * {{ a }} * {{ b }}, 0
        )))
    {%- endset -%}
    {%- set ratio = 'power(' ~ (middle ~ ' / ' ~ below if z > 0 else above ~ ' / ' ~ middle) ~ ', 3)' -%}
    case
        when {{ share }} is null then cast(null as double)
        {% if z > 0 -%}
        when {{ below }} <= 0 then 1
        {% endif -%}
        else {{ won }} * {{ ratio }} / ({{ won }} * {{ ratio }} + {{ lost }})
    end
{%- endmacro %}

{#- Where a cost lies with a certainty of `z` standard errors, its logarithm normal; one of 0 is certain. -#}
{% macro cost_bound(cost, variance, z) -%}
    {{ cost }} * coalesce(exp({{ z }} * sqrt({{ variance }}) / nullif({{ cost }}, 0)), 1)
{%- endmacro %}
