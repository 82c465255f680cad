"""The pages for people: plain HTML that works without scripts and fetches nothing.

Every text goes through fill(), which escapes whatever is not Markup. The policy of each page allows its one style by
its hash, forms to where this page's forms go and nothing else; no page may stand in a frame.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Final

from aiohttp.web import Response

from hsmvault.login.answers import ALWAYS, NO_STORE


class Markup(str):
    """HTML of ours, with everything in it escaped already."""

    __slots__ = ()


def fill(template: str, **values: str) -> Markup:
    escaped = {name: value if isinstance(value, Markup) else escape(value) for name, value in values.items()}
    return Markup(template.format(**escaped))


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#f3f3f3;margin:0}"
    "main{max-width:27rem;margin:3rem auto;padding:2rem;background:#fff;border:1px solid #c8c8c8}"
    "h1{font-size:1.5rem;margin:0 0 1rem}"
    "label{display:block;margin:1rem 0 .25rem;font-weight:600}"
    "input{box-sizing:border-box;width:100%;padding:.5rem;font:inherit;border:1px solid #595959}"
    "button{margin:1.5rem .5rem 0 0;padding:.5rem 1.25rem;font:inherit;border:1px solid #0b5cad;"
    "background:#0b5cad;color:#fff}"
    "button.other{background:#fff;color:#0b5cad}"
    "input:focus,button:focus{outline:3px solid #f5a623;outline-offset:1px}"
    ".error{border-left:4px solid #b00020;padding:.5rem 1rem;background:#fdecee}"
    ".hint{color:#444;font-size:.9rem;margin:.25rem 0 0}"
    "dl{margin:0}dt{font-weight:600;margin-top:.75rem}dd{margin:0;overflow-wrap:anywhere}"
    ".code{text-transform:uppercase;letter-spacing:.2em}"
)
_SUBMIT: Final = "document.forms[0].submit();"


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE_HASH: Final = _hash(_STYLE)
_SUBMIT_HASH: Final = _hash(_SUBMIT)
_LAYOUT: Final = (
    "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
    '<meta name=viewport content="width=device-width,initial-scale=1">'
    '<link rel=icon href="data:,">'
    "<title>{title}</title><style>{style}</style></head>\n<body><main>\n<h1>{heading}</h1>\n{error}{body}</main>{after}"
    "</body></html>\n"
)
_ERROR: Final = "<p class=error role=alert id=error tabindex=-1>{text}</p>\n"
_HIDDEN: Final = '<input type=hidden name="{name}" value="{value}">'
_FORM: Final = '<form method=post action="{action}" accept-charset=utf-8 novalidate>\n{hidden}{fields}</form>\n'


def page(
    heading: str,
    body: Markup,
    *,
    error: str = "",
    status: int = 200,
    forms: tuple[str, ...] = ("'self'",),
    submits_itself: bool = False,
) -> Response:
    """forms: the sources of form-action; a browser holds the redirect that answers a form to them too."""
    text = fill(
        _LAYOUT,
        title=f"Error: {heading}" if error else heading,
        style=Markup(_STYLE),
        heading=heading,
        error=fill(_ERROR, text=error) if error else Markup(""),
        body=body,
        after=Markup(f"<script>{_SUBMIT}</script>") if submits_itself else Markup(""),
    )
    policy = [
        "default-src 'none'",
        f"style-src {_STYLE_HASH}",
        "img-src data:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        f"form-action {' '.join(forms) or chr(39) + 'none' + chr(39)}",
    ]
    if submits_itself:
        policy.append(f"script-src {_SUBMIT_HASH}")
    headers = {
        **ALWAYS,
        **NO_STORE,
        "Content-Security-Policy": "; ".join(policy),
        "X-Frame-Options": "DENY",
        # not no-referrer: the browser would then hide from us where our own forms come from (Origin: null)
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=headers)


def see_other(location: str) -> Response:
    """The next request is a GET without the form."""
    return Response(status=303, headers={**ALWAYS, **NO_STORE, "Location": location, "Referrer-Policy": "no-referrer"})


def form(action: str, hidden: Mapping[str, str], fields: Markup) -> Markup:
    inputs = Markup("".join(fill(_HIDDEN, name=name, value=value) for name, value in hidden.items()))
    return fill(_FORM, action=action, hidden=inputs, fields=fields)


def field(
    name: str, label: str, *, kind: str, complete: str, value: str = "", hint: str = "", focused: bool, wrong: bool
) -> Markup:
    """One labelled input. complete: of `autocomplete`, for password managers. wrong: refers to the error."""
    described = " ".join(id for id, is_there in ((f"{name}-hint", hint), ("error", wrong)) if is_there)
    parts = [
        fill("<label for={name}>{label}</label>", name=name, label=label),
        fill(
            '<input id={name} name={name} type={kind} value="{value}" autocomplete={complete} required '
            "autocapitalize=none spellcheck=false",
            name=name,
            kind=kind,
            value=value,
            complete=complete,
        ),
        fill(' aria-describedby="{ids}"', ids=described) if described else Markup(""),
        Markup(" aria-invalid=true") if wrong else Markup(""),
        Markup(" autofocus>\n") if focused else Markup(">\n"),
        fill("<p class=hint id={name}-hint>{hint}</p>\n", name=name, hint=hint) if hint else Markup(""),
    ]
    return Markup("".join(parts))


def button(action: str, label: str, *, is_main: bool = True, focused: bool = False) -> Markup:
    """The value of `action` tells which one was pressed; the first of a form is the one that Enter presses."""
    return fill(
        "<button type=submit name=action value={action}{kind}{focus}>{label}</button>\n",
        action=action,
        kind=Markup("") if is_main else Markup(" class=other"),
        focus=Markup(" autofocus") if focused else Markup(""),
        label=label,
    )


def paragraph(text: str) -> Markup:
    return fill("<p>{text}</p>\n", text=text)


def facts(members: Mapping[str, str]) -> Markup:
    """Names and values, one below the other."""
    rows = (fill("<dt>{name}</dt><dd>{value}</dd>", name=name, value=value) for name, value in members.items())
    return Markup("<dl>" + "".join(rows) + "</dl>\n")


def error_page(heading: str, text: str, members: Mapping[str, str], *, status: int) -> Response:
    """A refusal that no application can be told. members: what an administrator finds it in the logs by."""
    return page(heading, facts(members), error=text, status=status, forms=())


def joined(*parts: Markup) -> Markup:
    return Markup("".join(parts))


def post_back(uri: str, source: str, members: Mapping[str, str]) -> Response:
    """Posts the members to the application by itself, or at a button where there are no scripts (OAuth 2.0 Form Post
    Response Mode)."""
    body = joined(
        paragraph("You are being taken back to the application."), form(uri, members, button_without_name("Continue"))
    )
    return page("Signing you in", body, forms=(source,), submits_itself=True)


def button_without_name(label: str) -> Markup:
    """For forms that others read; nothing of ours is posted with them. Not called `submit`, which would hide the
    form's method of that name."""
    return fill("<button type=submit>{label}</button>\n", label=label)
