"""Headers of the dashboard's page: CloudFront adds them on AWS, `local.dashboard` on a laptop.

Standard library only, so that what a browser is told on a laptop is what it is told on AWS.
"""

from collections.abc import Iterable, Mapping

IMMUTABLE = "public, max-age=31536000, immutable"
"""Of files that Vite names after the hash of their content: everything below `assets/`."""
NO_STORE = "no-store"
"""Of what names the others: index.html and config.json must be those of this deployment."""
HASHED = "assets/"
REFERRER_POLICY = "no-referrer"
ISOLATION: Mapping[str, str] = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Beside those that CloudFront has settings of their own for."""


def content_security_policy(connect: Iterable[str]) -> str:
    """The policy of a page that may call these origins and run nothing but its own files.

    `form-action 'none'`: the sign-in form is handled by script and is never submitted.
    """
    allowed = dict.fromkeys(("'self'", *connect))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "manifest-src 'self'",
            f"connect-src {' '.join(allowed)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def cache_control(path: str) -> str:
    """How long a browser may keep a file, by its path below the site's root."""
    return IMMUTABLE if path.startswith(HASHED) else NO_STORE


def page_headers(connect: Iterable[str]) -> dict[str, str]:
    """All of them, for a server that sets them itself. None of them needs HTTPS."""
    return {
        "Content-Security-Policy": content_security_policy(connect),
        "Referrer-Policy": REFERRER_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        **ISOLATION,
    }
