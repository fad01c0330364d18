{#- The moment all windows end, as Python: the var `as_of`, or the start of the run. -#}
{% macro as_of_moment() %}
    {%- set given = var('as_of', none) -%}
    {%- if given is none -%}
        {{- return(run_started_at.replace(tzinfo=none)) -}}
    {%- endif -%}
    {%- set text = (given | string).replace('T', ' ') -%}
    {%- set form = '[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?)?(Z|[+]00:00)?' -%}
    {%- set refusal = "as_of must be a date or a UTC time, like 2026-06-15 or 2026-06-15T12:00:00, not '"
        ~ text ~ "'" -%}
    {%- if not modules.re.fullmatch(form, text) -%}
        {{- exceptions.raise_compiler_error(refusal) -}}
    {%- endif -%}
    {%- set moment = try_or_compiler_error(
        refusal, modules.datetime.datetime.fromisoformat, text.replace('Z', '')
    ) -%}
    {%- if moment.year < 1970 -%}
        {{- exceptions.raise_compiler_error(refusal) -}}
    {%- endif -%}
    {%- set moment = moment.replace(tzinfo=none) -%}
    {%- set now = run_started_at.replace(tzinfo=none) -%}
    {#- `dbt test` may look ahead: it replaces nothing that anybody reads. -#}
    {%- if flags.WHICH in ('run', 'build') and moment > now + modules.datetime.timedelta(days=1) -%}
        {{- exceptions.raise_compiler_error(
            "as_of must be no more than a day ahead of now, " ~ now.isoformat(timespec='seconds')
            ~ " UTC, not '" ~ text ~ "'"
        ) -}}
    {%- endif -%}
    {{- return(moment) -}}
{% endmacro %}

{#- The date of it, as SQL. -#}
{% macro as_of_date() -%}
    date '{{ as_of_moment().date() }}'
{%- endmacro %}

{#- True where a date lies in the last `days` whole days up to and including that of `as_of`; null is all of them. -#}
{% macro within_window(date_column, days) %}
    {%- set last = as_of_moment().date() -%}
    {%- if days is none -%}
    {{ date_column }} <= date '{{ last }}'
    {%- else -%}
    {%- set length = whole_number(days, 'a window must be a whole number of days') -%}
    {%- set first = last - modules.datetime.timedelta(days=length) -%}
    {{ date_column }} between date '{{ first }}' and date '{{ last }}'
    {%- endif -%}
{%- endmacro %}
