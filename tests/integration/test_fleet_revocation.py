"""A stolen controller is shut out by its certificate, and by nothing that it can change."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pipeline.contract import Kind, Thing
from simulators.device import Device
from simulators.errors import ProvisioningError
from simulators.provisioning import Provisioner
from tests.support.fleet_broker import Broker, start_broker
from tests.support.lockers import Lockers, Quiet, publish_raw
from tests.support.wait import eventually

pytestmark = pytest.mark.integration


class Refusals(Quiet):
    """Remembers why the device could not connect."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def connect_failed(self, device: Device, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = start_broker(tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


@pytest.fixture
async def lockers(broker: Broker, tmp_path: Path) -> AsyncIterator[Lockers]:
    async with Lockers(broker.target, tmp_path / "keys") as running:
        running.listener = Refusals()
        yield running


async def test_a_revoked_controller_cannot_come_back(
    broker: Broker, lockers: Lockers, tmp_path: Path
):
    """Neither does it connect nor publish; another locker still does both."""
    device = await lockers.connect()
    assert await publish_raw(device, "d01", Kind.OPENED, b"{}") == 0
    await device.disconnect()
    provisioner = Provisioner(broker.target, tmp_path / "keys")
    assert await asyncio.to_thread(provisioner.revoke, device.thing) == 1
    device.connect()
    assert isinstance(lockers.listener, Refusals)
    await eventually(lambda: lockers.listener.reasons, what="a refusal")
    await device.disconnect()
    neighbour = await lockers.connect("l02")
    assert await publish_raw(neighbour, "d01", Kind.OPENED, b"{}") == 0


async def test_what_was_revoked_stays_on_record(broker: Broker, lockers: Lockers, tmp_path: Path):
    """`REVOKED`, without thing and policy; the locker itself gets a new certificate when asked."""
    device = await lockers.connect()
    iot = broker.target.client("iot")
    (arn,) = iot.list_thing_principals(thingName=str(device.thing))["principals"]
    await device.disconnect()
    provisioner = Provisioner(broker.target, tmp_path / "keys")
    provisioner.revoke(device.thing)
    described = iot.describe_certificate(certificateId=arn.rsplit("/", 1)[-1])
    assert described["certificateDescription"]["status"] == "REVOKED"
    assert iot.list_attached_policies(target=arn)["policies"] == []
    assert iot.list_thing_principals(thingName=str(device.thing))["principals"] == []
    assert provisioner.revoke(device.thing) == 0
    provisioner.provision([device.thing])
    (renewed,) = iot.list_thing_principals(thingName=str(device.thing))["principals"]
    assert renewed != arn


def test_a_thing_that_is_not_there_is_named(broker: Broker, tmp_path: Path):
    """A slip of the pen must not look like success."""
    provisioner = Provisioner(broker.target, tmp_path / "keys")
    with pytest.raises(ProvisioningError, match="cannot revoke maple-court:l99"):
        provisioner.revoke(Thing("maple-court", "l99"))
