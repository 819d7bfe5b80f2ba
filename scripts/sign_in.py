"""Where the dashboard of a deployment is, and who can sign in, in lines for a person."""

from collections.abc import Mapping, Sequence
from typing import Any


def dashboard_lines(info: Mapping[str, Any]) -> Sequence[str]:
    """Return the page's address and the sign-in of each demo person; no lines without a page."""
    if info["dashboard"] is None:
        return ()
    from local.dashboard import is_built
    from local.people import Person

    people = [Person.model_validate(each) for each in info["people"]]
    width = max((len(each.email) for each in people), default=0)
    hint = "" if not people or is_built() else "   (not built yet: make dashboard)"
    return (
        f"dashboard     {info['dashboard']}{hint}",
        *(
            f"sign in       {each.email:{width}}   {each.password}   ({each.sees})"
            for each in people
        ),
    )
