"""People of the user pool, in the emulator's Cognito."""

import string
from collections.abc import Iterator
from typing import Any

import pytest

from local.people import (
    DEMO_BUILDINGS,
    PeopleError,
    add_person,
    building_group,
    create_demo_people,
    random_password,
)
from simulators.plan import FleetPlan
from tests.support.appsync_stack import ministack

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("people")]


@pytest.fixture(scope="module")
def cognito(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ministack(tmp_path_factory.mktemp("emulator")) as running:
        yield running.client("cognito-idp")


@pytest.fixture
def pool(cognito: Any) -> str:
    created = cognito.create_user_pool(
        PoolName="people", UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
    )
    return str(created["UserPool"]["Id"])


def groups_of(cognito: Any, pool: str, email: str) -> set[str]:
    found = cognito.admin_list_groups_for_user(UserPoolId=pool, Username=email)["Groups"]
    return {group["GroupName"] for group in found}


def test_demo_people_are_an_operator_and_a_manager_of_each_building(cognito: Any, pool: str):
    """Each can sign in at once, with a password that no other stack has."""
    people = create_demo_people(cognito, pool)
    assert len({person.password for person in people}) == 1 + len(DEMO_BUILDINGS)
    for person in people:
        assert groups_of(cognito, pool, person.email) == {person.group}
        user = cognito.admin_get_user(UserPoolId=pool, Username=person.email)
        assert user["UserStatus"] == "CONFIRMED"
    assert [person.sees for person in people] == ["every building", *DEMO_BUILDINGS]


def test_the_demo_buildings_are_those_of_a_demo_fleet():
    """Who signs in as a manager sees lockers."""
    assert tuple(FleetPlan().building_names) == DEMO_BUILDINGS


def test_who_is_known_gains_a_building_and_keeps_the_password(cognito: Any, pool: str):
    """The second building is no second person."""
    first = add_person(cognito, pool, "ada@example.com", building_group("b-1"), by_mail=False)
    assert first is not None
    assert first.password
    again = add_person(cognito, pool, "ada@example.com", building_group("b-2"), by_mail=False)
    assert again is None
    assert groups_of(cognito, pool, "ada@example.com") == {"building:b-1", "building:b-2"}
    user = cognito.admin_get_user(UserPoolId=pool, Username="ada@example.com")
    assert user["UserStatus"] == "CONFIRMED"


def test_by_mail_nobody_but_the_person_gets_a_password(cognito: Any, pool: str):
    """As on AWS: a temporary one, to be changed at the first sign-in."""
    invited = add_person(cognito, pool, "bob@example.com", building_group("b-1"), by_mail=True)
    assert invited is not None
    assert invited.password is None
    user = cognito.admin_get_user(UserPoolId=pool, Username="bob@example.com")
    assert user["UserStatus"] == "FORCE_CHANGE_PASSWORD"


def test_passwords_meet_the_pool_s_policy_and_are_never_shown_by_accident():
    """Twelve characters of four kinds; no representation has it."""
    for _ in range(200):
        password = random_password()
        assert len(password) >= 12
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-"):
            assert set(kind) & set(password), password
        assert not set("0O1lI") & set(password)


@pytest.mark.parametrize("building", ["", "a b", "maple:court", "x" * 200])
def test_what_is_no_building_is_named(building: str):
    """A group for it would open nothing."""
    with pytest.raises(PeopleError, match="not an id"):
        building_group(building)
