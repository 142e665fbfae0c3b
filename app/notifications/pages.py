"""The page behind a mail's link."""

from __future__ import annotations

from markupsafe import Markup

CONTENT_POLICY = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

_PAGE = Markup("""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer"><title>No more mails like this?</title></head>
<body>
<h1>No more mails like this?</h1>
<p>Mails of this kind will not be sent to you any more. You can undo it in your preferences.</p>
<form method="post" action="?token={token}"><button type="submit">Stop them</button></form>
</body>
</html>
""")


_DONE = Markup("""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>{text}</p>
</body>
</html>
""")


def done_page(title: str, text: str) -> str:
    return str(_DONE.format(title=title, text=text))


def unsubscribe_page(token: str) -> str:
    return str(_PAGE.format(token=token))
