"""The pages that a person sees who follows a link in a message. They load nothing and need no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final

from starlette.responses import HTMLResponse

from rapport_notification.domain.contents import look_up

_STYLE: Final = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1.5rem;color:#222}"
    "button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.4rem;background:#1d4ed8;color:#fff}"
)
_POLICY: Final = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; style-src 'sha256-"
    + base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'"
)


class Pages:
    """Writes pages in the languages there are.

    Args:
        data: The wording, by language.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._wording: Mapping[str, Mapping[str, str]] = data["pages"]

    def question(self, accepted: str) -> HTMLResponse:
        """Ask whether somebody wants no more; asking does nothing.

        Args:
            accepted: The languages that the browser asks for.
        """
        words = self._words(accepted)
        body = f'<p>{words["question"]}</p><form method="post"><button>{words["button"]}</button></form>'
        return self._page(words, body)

    def done(self, accepted: str) -> HTMLResponse:
        """Say that it is done."""
        words = self._words(accepted)
        return self._page(words, f"<p>{words['done']}</p>")

    def gone(self, accepted: str, status: int) -> HTMLResponse:
        """Say that a link is not valid."""
        words = self._words(accepted)
        return self._page(words, f"<p>{words['gone']}</p>", status)

    def _words(self, accepted: str) -> Mapping[str, str]:
        wished = [each.partition(";")[0].strip() for each in accepted[:200].split(",")]
        found = next((name for each in wished if (name := look_up(each, list(self._wording)))), "en")
        return {"language": found, **{key: escape(text) for key, text in self._wording[found].items()}}

    def _page(self, words: Mapping[str, str], body: str, status: int = 200) -> HTMLResponse:
        page = (
            f'<!doctype html><html lang="{words["language"]}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
            f"<title>{words['title']}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
        )
        return HTMLResponse(page, status, {"Content-Security-Policy": _POLICY})
