"""Takes a template from its author: every check that can be made before a message, and its MJML turned into HTML."""

from __future__ import annotations

from rapport_notification.domain.contents import Template
from rapport_notification.templates.checking import TemplateRefusedError, check_html, check_source
from rapport_notification.templates.worker import NotRenderedError, RenderWorker


async def prepare(template: Template, worker: RenderWorker) -> dict[str, str]:
    """Return the HTML of each language, its variables still in it; empty where the template has no such part.

    Raises:
        TemplateRefusedError: A part of a language cannot be taken; the text says which and why.
    """
    found = {}
    for locale, texts in template.texts.items():
        try:
            for part in (texts.subject, texts.text, texts.mjml):
                check_source(part, template.variables)
            html = await worker.html_of(texts.mjml) if texts.mjml else ""
            check_source(html, template.variables)
            check_html(html, template.variables)
        except (TemplateRefusedError, NotRenderedError) as error:
            raise TemplateRefusedError(f"{locale}: {error}") from error
        found[locale] = html
    return found
