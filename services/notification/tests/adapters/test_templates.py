"""Rendering in the other process: what comes out, and that nothing hostile gets out or takes long."""

import json
import signal
import time
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from rapport_notification.domain.contents import Kind, Template, Texts, Variable, checked
from rapport_notification.templates.checking import TemplateRefusedError, check_html
from rapport_notification.templates.preparing import prepare
from rapport_notification.templates.worker import Job, NotRenderedError, Rendered, RenderWorker

VARIABLES = {
    "name": Variable(Kind.TEXT),
    "price": Variable(Kind.MONEY),
    "until": Variable(Kind.DATE),
    "count": Variable(Kind.INTEGER),
    "link": Variable(Kind.URL),
    "products": Variable(Kind.ROWS, {"title": Variable(Kind.TEXT), "link": Variable(Kind.URL)}),
}
VALUES: dict[str, Any] = {
    "name": "Lamp & <b>",
    "price": (Decimal("1234.50"), "EUR"),
    "until": date(2026, 11, 30),
    "count": 1200,
    "link": "https://brand.example/u?a=1&b=2",
    "products": [{"title": f"Product {n}", "link": f"https://brand.example/{n}"} for n in range(3)],
}
MJML = """<mjml><mj-body><mj-section><mj-column><mj-text>{{ name }}: {{ price }} {{ until }}</mj-text>
<mj-raw>{% for each in products %}</mj-raw><mj-button href="{{ each.link }}">{{ each.title }}</mj-button>
<mj-raw>{% endfor %}</mj-raw><mj-button href="{{ link }}">More</mj-button></mj-column></mj-section></mj-body></mjml>"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[RenderWorker]:
    worker = RenderWorker(("en", "de", "pt-BR"))
    yield worker
    await worker.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


def template(text: str, *, subject: str = "s", mjml: str = "", locale: str = "en", version: int = 1) -> Template:
    return Template("test", version, "", locale, VARIABLES, {locale: Texts(subject, text, mjml)})


async def render(worker: RenderWorker, made: Template, html: dict[str, str] | None = None, **changes: Any) -> Rendered:
    values = checked(made.variables, VALUES | changes)
    [found] = await worker.render([Job(made, html or {}, made.locale, values)])
    if isinstance(found, NotRenderedError):
        raise found
    return found


async def test_a_message_is_written_in_the_language_of_its_template(worker: RenderWorker) -> None:
    made = template("{{ count }} bis {{ until }}: {{ price }}", subject="{{ name }}\n now", mjml=MJML, locale="de")
    found = await render(worker, made, await prepare(made, worker))
    assert found.subject == "Lamp & <b> now"
    assert found.text == "1.200 bis 30. November 2026: 1.234,50\xa0€"
    assert "Lamp &amp; &lt;b&gt;: 1.234,50\xa0€ 30. November 2026" in found.html
    assert found.html.count('href="https://brand.example/') == 4
    assert 'href="https://brand.example/u?a=1&amp;b=2"' in found.html
    assert "{{" not in found.html
    assert "http://fonts" not in found.html
    assert "googleapis" not in found.html


async def test_a_value_cannot_be_a_template(worker: RenderWorker) -> None:
    hostile = "{{ 7 * 7 }}{% for x in y %}<script>'\""
    made = template("{{ name }}", subject="{{ name }}", mjml=MJML, version=2)
    found = await render(worker, made, await prepare(made, worker), name=hostile)
    assert found.text == found.subject == hostile
    assert "<script>" not in found.html
    assert "{{ 7 * 7 }}" in found.html


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ name['__class__'] }}",
    "{{ name|attr('__class__') }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__ }}",
    "{{ range(10) }}",
    "{{ name.format(price) }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ 'a' * 1000000000 }}",
    "{{ 9 ** 9999999 }}",
    "{{ 10000000 * 10000000 }}",
    "{{ name.ljust(1000000000) }}",
    "{{ products.append(1) }}",
    "{{ name|map('upper') }}",
    "{{ name|safe }}",
    "{{ name|pprint }}",
    "{{ namespace() }}",
    "{{ dict() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'a' %}",
    "{{ loop.__class__ }}",
    "{% for x in products %}{{ loop.cycle.__func__ }}{% endfor %}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{{ m() }}",
    "{{ joiner().__class__ }}",
    "{{ nothing }}",
    "{{ products[0]['nothing'] }}",
    "{{ request }}",
    "{{ config }}",
    "{{ (1,2,3)|random }}",
    "{{ ''.join(['a']) }}",
    "{{ name.encode('utf8') }}",
]


@pytest.mark.parametrize("source", ESCAPES)
async def test_no_template_gets_out(worker: RenderWorker, source: str) -> None:
    await render(worker, template("ready"))
    process = worker._process
    with pytest.raises(NotRenderedError, match=r"\A[A-Za-z ]+\Z"):
        await render(worker, template(source, version=ESCAPES.index(source) + 100))
    assert worker._process is process  # it refused, and was not ended for it


ROWS = "{% set r = [1,2,3,4,5,6,7,8,9,10] %}"
ENDLESS = {
    "loops": "{% for a in r %}" * 8 + "x" + "{% endfor %}" * 8,
    "doubling": "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 40 + "{{ a|length }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "nested": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "spinning": "{% for a in r %}" * 12 + "{% if a == 99 %}x{% endif %}" + "{% endfor %}" * 12,
    "long": "{% for a in products %}{% for b in products %}" + "x" * 50_000 + "{% endfor %}{% endfor %}",
    "lists": "{% set a = [1,2,3,4,5,6,7,8] %}" + "{% set a = a + a %}" * 30 + "{{ a|length }}",
    "big": "{% set a = 1000000 %}" + "{% set a = a * 1000000 %}" * 9 + "{{ a }}",
}


@pytest.mark.parametrize("case", sorted(ENDLESS))
async def test_no_template_takes_long_or_takes_the_next_one_with_it(worker: RenderWorker, case: str, prove) -> None:
    await render(worker, template("ready"))
    made, good = template(ROWS + ENDLESS[case], version=list(ENDLESS).index(case) + 500), template("good", version=78)
    values = checked(VARIABLES, VALUES)
    began = time.perf_counter()
    hostile, following = await worker.render([Job(made, {}, "en", values), Job(good, {}, "en", values)])
    took = time.perf_counter() - began
    assert isinstance(hostile, NotRenderedError)
    assert following == Rendered("s", "good", "")
    prove("notification", **{f"hostile_render_{case}_s_with_restart": round(took, 3)})


async def test_a_template_that_takes_too_much_time_ends_the_process(
    worker: RenderWorker,
) -> None:
    await render(worker, template("ready"))
    process = worker._process
    assert process is not None
    with pytest.raises(NotRenderedError, match="too much"):
        await render(worker, template(ROWS + ENDLESS["spinning"], version=79))
    # On a machine that is busy with other things, time itself may run out before the time of the processor.
    assert process.returncode in {-signal.SIGPROF, -signal.SIGKILL}


@pytest.mark.parametrize(
    "html",
    [
        '<a href="{{ name }}">a</a>',
        '<a href="{{ products }}">a</a>',
        '<a href="javascript:{{ name }}">a</a>',
        '<a href="https://{{ name }}/">a</a>',
        '<a href="https://brand.example/{{ name }}">a</a>',
        '<a href="{% if 1 %}x{% endif %}">a</a>',
        '<a href="javascript:alert(1)">a</a>',
        '<img src="data:text/html,a">',
        '<img src="{{ link }}{{ name }}">',
        '<p onclick="a">a</p>',
        '<p style="color: {{ name }}">a</p>',
        "<style>p { color: {{ name }} }</style>",
        "<style>@import 'https://evil.example/a.css';</style>",
        "<style>p { background: url(https://evil.example/) }</style>",
        "<script>a</script>",
        "<!-- {{ name }} -->",
        "<iframe></iframe>",
        "<form></form>",
        '<base href="https://evil.example/">',
        '<link rel="stylesheet" href="https://evil.example/a.css">',
        '<meta http-equiv="refresh" content="0;url={{ link }}">',
        "<{{ name }}>",
        "</{% if name %}b{% endif %}>",
        "<p title={{ name }}>a</p>",
        "<p {% if name %}title='a'{% endif %}>a</p>",
        "<b{{ name }}>a</b>",
        "<p {{ name }}>a</p>",
        "<svg onload=a>",
    ],
)
async def test_no_variable_stands_where_escaping_does_not_help(html: str) -> None:
    with pytest.raises(TemplateRefusedError):
        check_html(html, VARIABLES)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="{{ link }}">{{ name }}</a>',
        '<a href="{{ each.link }}">a</a>',
        '<a href="https://brand.example/s?q={{ name | urlencode }}&amp;l={{ name|urlencode }}">a</a>',
        '<img src="cid:logo" alt="{{ name }}"><a href="mailto:help@brand.example">a</a><a href="#top">b</a>',
    ],
)
async def test_what_a_mail_needs_is_taken(html: str) -> None:
    check_html(html, VARIABLES)


@pytest.mark.parametrize(
    "mjml",
    [
        '<mjml><mj-body><mj-include path="/etc/passwd" /></mj-body></mjml>',
        "<mjml><mj-body><mj-raw><script>a</script></mj-raw></mj-body></mjml>",
        '<mjml><mj-head><mj-font name="A" href="https://evil.example/a.css" /></mj-head><mj-body><mj-section>'
        '<mj-column><mj-text font-family="A">a</mj-text></mj-column></mj-section></mj-body></mjml>',
        "<mjml><mj-body><mj-raw>{% autoescape false %}{{ name }}{% endautoescape %}</mj-raw></mj-body></mjml>",
        "<mjml><mj-body>{{ unknown }}</mj-body></mjml>",
        "<mjml><mj-body>{% if %}</mj-body></mjml>",
        "<mjml>" * 5000,
        "no mjml",
    ],
)
async def test_hostile_mjml_is_refused_or_fetches_nothing(worker: RenderWorker, mjml: str) -> None:
    try:
        found = await prepare(template("a", mjml=mjml), worker)
    except TemplateRefusedError:
        return
    assert "evil.example" not in json.dumps(found)


async def test_a_language_that_was_not_loaded_is_refused_and_no_other(worker: RenderWorker) -> None:
    await render(worker, template("ready"))
    process = worker._process
    with pytest.raises(NotRenderedError):
        await render(worker, template("{{ price }}", locale="hu", version=90))
    assert (await render(worker, template("{{ price }}", locale="pt-BR", version=91))).text == "€\xa01.234,50"
    assert worker._process is process
    with pytest.raises(ValueError, match="language"):
        RenderWorker(())


async def test_the_process_that_was_killed_is_replaced(worker: RenderWorker) -> None:
    await render(worker, template("a"))
    process = worker._process
    assert process is not None
    process.kill()
    process.wait()
    assert (await render(worker, template("a"))).text == "a"


async def test_the_process_can_open_no_file(worker: RenderWorker) -> None:
    await render(worker, template("a"))
    process = worker._process
    assert process is not None
    limits = {}
    with open(f"/proc/{process.pid}/limits", encoding="utf-8") as file:  # noqa: PTH123, ASYNC230
        for line in file:
            limits[line[:26].strip()] = line[26:47].strip()
    assert (limits["Max open files"], limits["Max file size"], limits["Max core file size"]) == ("3", "0", "0")
    assert limits["Max address space"].isdigit()
