{#- What a success is worth in USD: the var `success_value_usd`. -#}
{% macro success_value() -%}
    {{- positive_number('success_value_usd') -}}
{%- endmacro %}

{#- As ranks compare a value, on any engine and in Python. -#}
{% macro ranked(value) -%}
    round({{ value }}, 9)
{%- endmacro %}

{#- The rule and the vars that decided, as a text to be recorded with a decision; what is in SQL is checked. -#}
{% macro policy_version(rule) -%}
    {%- set window = var('evidence_window_days') -%}
    {%- set half_life = var('evidence_half_life_days') -%}
    {%- do positive_number('success_value_usd') -%}
    {%- if window is not none -%}
        {%- set window = whole_number(window, 'a window must be a whole number of days') -%}
    {%- endif -%}
    {%- if half_life is not none -%}
        {%- do positive_number('evidence_half_life_days') -%}
    {%- endif -%}
    {{ rule }} value={{ var('success_value_usd') }} window={{ 'all' if window is none else window }} half_life=
    {{- 'none' if half_life is none else half_life }} min={{ whole_var('evidence_min_tries') }},
    {{- whole_var('evidence_min_costs') }}
{%- endmacro %}

{#-
    About how many more runs of an arm and of the reference, each, would make the gain larger than half of its standard
    deviation: the variance of either falls as 1 / runs, so this is the root of a quadratic.
-#}
{% macro runs_to_settle(arm) -%}
    {%- set allowed = '(4 * power(' ~ arm ~ '.gain, 2))' -%}
    {%- set own, usual = arm ~ '.effective_runs', arm ~ '.reference_runs' -%}
    {%- set slope -%}
        ({{ allowed }} * ({{ own }} + {{ usual }})
        - {{ arm }}.utility_variance * {{ own }} - {{ arm }}.reference_variance * {{ usual }})
    {%- endset -%}
    {%- set start -%}
        ({{ own }} * {{ usual }} * ({{ allowed }} - {{ arm }}.utility_variance - {{ arm }}.reference_variance))
    {%- endset -%}
    case
        when {{ arm }}.arm is not null
            then cast(least(greatest(ceil({{ ranked(
                '(sqrt(power(' ~ slope ~ ', 2) - 4 * ' ~ allowed ~ ' * ' ~ start ~ ') - ' ~ slope
                ~ ') / (2 * ' ~ allowed ~ ')'
            ) }}), 1), 1000000) as bigint)
    end
{%- endmacro %}

{#- USD with two digits behind the point. -#}
{% macro usd(amount) -%}
    cast(cast({{ amount }} as decimal(18, 2)) as string)
{%- endmacro %}

{#- Why the arm was chosen, in one sentence. -#}
{% macro reason() -%}
    case
        when chosen.arm is null
            then 'no arm has enough first tries and reported costs yet'
        when chosen.arm != chosen.reference_arm
            then chosen.arm || ' is worth ' || {{ usd('chosen.gain') }} || ' USD a task more than '
                || chosen.reference_arm || ', the reference'
        when nearest.arm is not null
            then chosen.arm || ' stays: ' || nearest.arm || ' looks ' || {{ usd('nearest.gain') }}
                || ' USD a task better, which about ' || cast({{ runs_to_settle('nearest') }} as string)
                || ' more runs of each would settle'
        when chosen.comparable_arms = 1
            then chosen.arm || ' is the only arm with enough runs and reported costs'
        else chosen.arm || ' is worth most of ' || cast(chosen.comparable_arms as string) || ' arms'
    end
{%- endmacro %}
