"""People in the user pool: who may see what, on a laptop and on AWS.

A person sees the buildings of the groups `building:<id>`, an operator (group `operators`) all. The
templates hold no people: on AWS they are invited, and a laptop stack makes its own at each start.
"""

from __future__ import annotations

import secrets
import string
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field

from local.errors import LocalStackError
from pipeline.contract import is_id

OPERATORS = "operators"
DEMO_BUILDINGS = ("maple-court", "birch-house", "cedar-tower")
"""The first three that a fleet has; `latchline people add` makes managers of others."""
DEMO_DOMAIN = "demo.example"
"""RFC 2606: nobody can own it, so no mail leaves the machine."""
_LOOKALIKES = "0O1lI"
_ALPHABET = "".join(
    each for each in string.ascii_letters + string.digits if each not in _LOOKALIKES
)
_PASSWORD_PARTS = 4


class PeopleError(LocalStackError):
    """A person cannot be made as asked for; the message names the value."""


class Person(BaseModel):
    """Somebody who can sign in. The password is known of a laptop's people only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: str
    password: str | None = Field(repr=False)
    group: str

    @property
    def sees(self) -> str:
        """What the group opens, in words."""
        return "every building" if self.group == OPERATORS else self.group.partition(":")[2]


def building_group(building: str) -> str:
    """Return the group of a building's managers.

    Raises
    ------
    PeopleError
        It is no building id.
    """
    if not is_id(building):
        raise PeopleError(f"building {building!r}: not an id that a locker could name")
    return f"building:{building}"


def random_password() -> str:
    """Sixteen characters that a person can read off a screen, with every kind that the pool wants.

    The hyphens between them are the special characters.
    """
    while True:
        parts = [
            "".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_PASSWORD_PARTS)
        ]
        password = "-".join(parts)
        kinds = (str.islower, str.isupper, str.isdigit)
        if all(any(map(kind, password)) for kind in kinds):
            return password


def create_demo_people(client: Any, pool_id: str) -> list[Person]:
    """Make an operator and a manager for each demo building, in a new pool (blocking)."""
    groups = {"operator": OPERATORS, **{each: building_group(each) for each in DEMO_BUILDINGS}}
    people = [
        add_person(client, pool_id, f"{name}@{DEMO_DOMAIN}", group, by_mail=False)
        for name, group in groups.items()
    ]
    return [person for person in people if person is not None]


def add_person(
    client: Any, pool_id: str, email: str, group: str, *, by_mail: bool
) -> Person | None:
    """Let somebody see what a group opens; return them if they are new to the pool (blocking).

    Who is in the pool already keeps their password and their other groups.

    Parameters
    ----------
    by_mail
        Cognito mails a temporary password, which nobody else gets to know. Otherwise, for
        emulators, the person comes back with a password of ours.
    """
    how = {"DesiredDeliveryMediums": ["EMAIL"]} if by_mail else {"MessageAction": "SUPPRESS"}
    known = not _create(client, pool_id, email, **how)
    password = None if by_mail or known else random_password()
    if password is not None:
        client.admin_set_user_password(
            UserPoolId=pool_id, Username=email, Password=password, Permanent=True
        )
    _make_group(client, pool_id, group)
    client.admin_add_user_to_group(UserPoolId=pool_id, Username=email, GroupName=group)
    return None if known else Person(email=email, password=password, group=group)


def _create(client: Any, pool_id: str, email: str, **how: Any) -> bool:
    """Return whether they were made: False if the pool knows the address."""
    attributes = [
        {"Name": "email", "Value": email},
        # AWS: without it nobody could reset a forgotten password by mail.
        {"Name": "email_verified", "Value": "true"},
    ]
    try:
        client.admin_create_user(
            UserPoolId=pool_id, Username=email, UserAttributes=attributes, **how
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "UsernameExistsException":
            raise
        return False
    return True


def _make_group(client: Any, pool_id: str, group: str) -> None:
    """Groups of buildings are made with their first member."""
    try:
        client.create_group(UserPoolId=pool_id, GroupName=group)
    except ClientError as error:
        if error.response["Error"]["Code"] != "GroupExistsException":
            raise
