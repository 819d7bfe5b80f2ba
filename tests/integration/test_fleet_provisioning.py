"""Provisioning against MiniStack's IoT: nothing twice, nothing left, nothing readable by others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.contract import Thing
from simulators.errors import ProvisioningError
from simulators.provisioning import Pace, Provisioner, private_folder
from tests.support.fleet_broker import Broker, start_broker

pytestmark = pytest.mark.integration

THINGS = [Thing("maple-court", f"l{n:02d}") for n in range(1, 6)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = start_broker(tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


@pytest.fixture
def provisioner(broker: Broker, tmp_path: Path) -> Iterator[Provisioner]:
    provisioner = Provisioner(broker.target, tmp_path / "keys")
    yield provisioner
    provisioner.deprovision(THINGS)


def test_each_thing_gets_an_active_certificate_with_the_policy(
    broker: Broker, provisioner: Provisioner
) -> None:
    """A locker can connect with what is on disk: attached to its thing and to the policy."""
    iot = broker.target.client("iot")
    for credentials in provisioner.provision(THINGS):
        (arn,) = iot.list_thing_principals(thingName=str(credentials.thing))["principals"]
        described = iot.describe_certificate(certificateId=arn.rsplit("/", 1)[-1])
        assert described["certificateDescription"]["status"] == "ACTIVE"
        policies = iot.list_attached_policies(target=arn)["policies"]
        assert [policy["policyName"] for policy in policies] == [broker.target.device_policy]


def test_keys_are_for_their_owner_alone(provisioner: Provisioner) -> None:
    """Files 0600 in folders 0700, and no partial file is left."""
    for credentials in provisioner.provision(THINGS[:2]):
        for folder in (credentials.folder, credentials.folder.parent):
            assert folder.stat().st_mode & 0o777 == 0o700
        for file in credentials.folder.iterdir():
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.suffix != ".partial"


def test_a_second_run_uses_what_is_there(broker: Broker, provisioner: Provisioner) -> None:
    """An active certificate is kept, and an interrupted run resumed: only the rest is issued."""
    first = [each.certificate_file.read_bytes() for each in provisioner.provision(THINGS[:3])]
    again = [each.certificate_file.read_bytes() for each in provisioner.provision(THINGS)]
    assert again[:3] == first
    assert len(broker.target.client("iot").list_certificates()["certificates"]) == len(THINGS)


def test_a_certificate_that_was_revoked_is_replaced(
    broker: Broker, provisioner: Provisioner
) -> None:
    """What would not connect is not reused."""
    (credentials,) = provisioner.provision(THINGS[:1])
    before = credentials.certificate_file.read_bytes()
    iot = broker.target.client("iot")
    (arn,) = iot.list_thing_principals(thingName=str(credentials.thing))["principals"]
    iot.update_certificate(certificateId=arn.rsplit("/", 1)[-1], newStatus="REVOKED")
    provisioner.provision(THINGS[:1])
    assert credentials.certificate_file.read_bytes() != before


def test_deprovisioning_leaves_nothing_behind(broker: Broker, tmp_path: Path) -> None:
    """No thing, no certificate, no file; and a second time is as good as the first."""
    keys = tmp_path / "keys"
    provisioner = Provisioner(broker.target, keys)
    provisioner.provision(THINGS)
    provisioner.deprovision(THINGS)
    provisioner.deprovision(THINGS)
    iot = broker.target.client("iot")
    assert iot.list_things()["things"] == []
    assert iot.list_certificates()["certificates"] == []
    assert not keys.exists()


def test_what_is_kept_is_what_was_begun(provisioner: Provisioner) -> None:
    """Deprovisioning finds every locker, also one whose certificate was never issued."""
    assert provisioner.kept() == []
    provisioner.provision(THINGS[:2])
    for file in provisioner.credentials(THINGS[1]).folder.iterdir():
        file.unlink()
    assert provisioner.kept() == THINGS[:2]


def test_an_interrupted_removal_is_finished_by_the_next(
    broker: Broker, provisioner: Provisioner
) -> None:
    """A locker whose thing is gone but whose certificate is left does not stop the others."""
    provisioner.provision(THINGS)
    iot = broker.target.client("iot")
    (arn,) = iot.list_thing_principals(thingName=str(THINGS[0]))["principals"]
    iot.detach_thing_principal(thingName=str(THINGS[0]), principal=arn)
    iot.delete_thing(thingName=str(THINGS[0]))
    provisioner.deprovision(provisioner.kept())
    assert iot.list_things()["things"] == []
    assert iot.list_certificates()["certificates"] == []
    assert provisioner.kept() == []


def test_a_policy_that_does_not_exist_is_named(broker: Broker, tmp_path: Path) -> None:
    """The message has the thing and what IoT answered."""
    target = broker.target.model_copy(update={"device_policy": "nobodys"})
    provisioner = Provisioner(target, tmp_path / "keys")
    with pytest.raises(ProvisioningError, match=r"cannot provision maple-court:l01: .*Policy"):
        provisioner.provision(THINGS[:1])
    provisioner.deprovision(THINGS[:1])


def test_progress_is_told_for_every_thing(provisioner: Provisioner) -> None:
    """(done, total) counts up to the end."""
    told: list[tuple[int, int]] = []
    provisioner.provision(THINGS, lambda done, total: told.append((done, total)))
    assert told == [(n, len(THINGS)) for n in range(1, len(THINGS) + 1)]


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """Private keys do not go where others can look; the message says how to cure it."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    with pytest.raises(ProvisioningError, match=r"chmod 700"):
        private_folder(shared)


def test_the_rate_limit_spaces_things_evenly() -> None:
    """Six things at 50 per second need five spaces of 20 ms."""
    import time

    pace = Pace(50)
    started = time.monotonic()
    for _ in range(6):
        pace.wait()
    assert time.monotonic() - started >= 0.1
