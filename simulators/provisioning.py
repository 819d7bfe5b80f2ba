"""Things, P-256 certificates and policy attachments for a fleet; and their removal.

One folder a locker below the caller's folder (0700), with the private key (0600), the certificate
and its id. A run that was interrupted is resumed: a certificate that is still active is used again.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.contract import Thing
from simulators.errors import ProvisioningError
from simulators.target import Target

PARALLEL = 8
DELETE_ATTEMPTS = 20
"""AWS: a thing can be deleted only once a detach has propagated, which takes up to some seconds."""

Progress = Callable[[int, int], None]
"""Called with (done, total) after each thing, from the caller's thread."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one locker needs to connect; `folder` also keeps its boot counter."""

    thing: Thing
    folder: Path

    @property
    def key_file(self) -> Path:
        return self.folder / "key.pem"

    @property
    def certificate_file(self) -> Path:
        return self.folder / "certificate.pem"

    @property
    def record_file(self) -> Path:
        return self.folder / "certificate.json"

    @property
    def boot_file(self) -> Path:
        return self.folder / "boot"


class Pace:
    """Lets at most `per_s` callers a second through, evenly; None lets everybody through."""

    def __init__(self, per_s: float | None) -> None:
        self._interval = 0.0 if per_s is None else 1.0 / per_s
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        if not self._interval:
            return
        with self._lock:
            due = max(self._next, time.monotonic())
            self._next = due + self._interval
        time.sleep(max(0.0, due - time.monotonic()))


class Provisioner:
    """Registers lockers with IoT Core and takes them away again.

    Parameters
    ----------
    per_s
        Things started per second. AWS: CreateThing, AttachPolicy and their like allow 10 to 15
        requests/s an account; None (the laptop stack) does not wait.
    """

    def __init__(
        self, target: Target, folder: Path, *, per_s: float | None = None, parallel: int = PARALLEL
    ) -> None:
        self._folder = folder
        self._policy = target.device_policy
        self._iot = target.client(
            "iot",
            Config(
                retries={"mode": "standard", "max_attempts": 6},
                max_pool_connections=parallel,
                tcp_keepalive=True,
            ),
        )
        self._pace = Pace(per_s)
        self._parallel = parallel

    def credentials(self, thing: Thing) -> Credentials:
        return Credentials(thing, self._folder / thing.building / thing.locker)

    def provision(
        self, things: Sequence[Thing], on_progress: Progress | None = None
    ) -> list[Credentials]:
        """Return what each thing connects with, in the order asked for.

        Raises
        ------
        ProvisioningError
            With the thing and what IoT answered. What was done stays and is used by the next try.
        """
        private_folder(self._folder)
        self._for_each("provision", self._provision_one, things, on_progress)
        return [self.credentials(thing) for thing in things]

    def kept(self) -> list[Thing]:
        """Things of which anything is on disk, however far they got."""
        folders = sorted(self._folder.glob("*/*/"))
        return [Thing(folder.parent.name, folder.name) for folder in folders]

    def deprovision(self, things: Sequence[Thing], on_progress: Progress | None = None) -> None:
        """Delete the things and every certificate attached to them; leaves no file behind."""
        self._for_each("deprovision", self._deprovision_one, things, on_progress)
        for building in {thing.building for thing in things}:
            with suppress(OSError):
                (self._folder / building).rmdir()
        with suppress(OSError):
            self._folder.rmdir()

    def revoke(self, thing: Thing) -> int:
        """Let nobody connect as the thing any more; return how many certificates it had.

        For a controller that was stolen or whose key is known to others. The certificates stay in
        the registry as `REVOKED`, for whoever asks later; `provision` issues a new one.

        Raises
        ------
        ProvisioningError
            There is no such thing, or IoT refused; what was revoked stays so.
        """
        try:
            arns = self._iot.list_thing_principals(thingName=str(thing))["principals"]
            for arn in arns:
                # First of all: AWS ends its connections and refuses new ones.
                self._iot.update_certificate(
                    certificateId=arn.rsplit("/", 1)[-1], newStatus="REVOKED"
                )
                self._detach(thing, arn)
        except (BotoCoreError, ClientError) as error:
            raise ProvisioningError(f"cannot revoke {thing}: {error}") from error
        return len(arns)

    def _for_each(
        self,
        verb: str,
        work: Callable[[Thing], None],
        things: Sequence[Thing],
        on_progress: Progress | None,
    ) -> None:
        with ThreadPoolExecutor(self._parallel, thread_name_prefix=verb) as pool:
            futures = {pool.submit(work, thing): thing for thing in things}
            try:
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    if on_progress:
                        on_progress(done, len(things))
            except (BotoCoreError, ClientError, OSError) as error:
                raise ProvisioningError(f"cannot {verb} {futures[future]}: {error}") from error
            finally:
                pool.shutdown(cancel_futures=True)

    def _provision_one(self, thing: Thing) -> None:
        self._pace.wait()
        credentials = self.credentials(thing)
        private_folder(credentials.folder.parent)
        private_folder(credentials.folder)
        self._iot.create_thing(thingName=str(thing))
        arn = self._active_certificate(credentials) or self._issue(credentials)
        # Both are idempotent, so a run cut off between them is repaired by repeating them.
        self._iot.attach_policy(policyName=self._policy, target=arn)
        self._iot.attach_thing_principal(thingName=str(thing), principal=arn)

    def _active_certificate(self, credentials: Credentials) -> str | None:
        """Return the ARN of the certificate on disk if IoT would still let it connect."""
        try:
            record: dict[str, str] = json.loads(credentials.record_file.read_text())
            held = self._iot.describe_certificate(certificateId=record["id"])
        except (FileNotFoundError, ValueError, KeyError):
            return None
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise
        complete = credentials.key_file.exists() and credentials.certificate_file.exists()
        active = held["certificateDescription"]["status"] == "ACTIVE"
        return record["arn"] if active and complete else None

    def _issue(self, credentials: Credentials) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        answer = self._iot.create_certificate_from_csr(
            certificateSigningRequest=signing_request(credentials.thing, key), setAsActive=True
        )
        private_file(
            credentials.key_file,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        private_file(credentials.certificate_file, answer["certificatePem"].encode())
        record = {"id": answer["certificateId"], "arn": answer["certificateArn"]}
        private_file(credentials.record_file, json.dumps(record).encode())
        return str(record["arn"])

    def _deprovision_one(self, thing: Thing) -> None:
        self._pace.wait()
        credentials = self.credentials(thing)
        for arn in self._certificates_of(thing, credentials):
            self._delete_certificate(thing, arn)
        self._delete_thing(thing)
        for file in (
            credentials.key_file,
            credentials.certificate_file,
            credentials.record_file,
            credentials.boot_file,
        ):
            file.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            credentials.folder.rmdir()

    def _certificates_of(self, thing: Thing, credentials: Credentials) -> set[str]:
        """Attached ones as IoT tells, and the one on disk (never attached if cut off)."""
        arns: set[str] = set()
        with suppress(FileNotFoundError, ValueError, KeyError):
            arns.add(json.loads(credentials.record_file.read_text())["arn"])
        with not_found_is_done():
            arns.update(self._iot.list_thing_principals(thingName=str(thing))["principals"])
        return arns

    def _delete_certificate(self, thing: Thing, arn: str) -> None:
        certificate_id = arn.rsplit("/", 1)[-1]
        self._detach(thing, arn)
        with not_found_is_done():
            self._iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
            retry_conflict(lambda: self._iot.delete_certificate(certificateId=certificate_id))

    def _detach(self, thing: Thing, arn: str) -> None:
        """Take a certificate from its thing and its rights from it."""
        with not_found_is_done():
            self._iot.detach_thing_principal(thingName=str(thing), principal=arn)
        with not_found_is_done():
            for policy in self._iot.list_attached_policies(target=arn)["policies"]:
                self._iot.detach_policy(policyName=policy["policyName"], target=arn)

    def _delete_thing(self, thing: Thing) -> None:
        with not_found_is_done():
            retry_conflict(lambda: self._iot.delete_thing(thingName=str(thing)))


def signing_request(thing: Thing, key: ec.EllipticCurvePrivateKey) -> str:
    """PEM of a CSR whose common name is the thing."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(thing))])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def private_folder(folder: Path) -> None:
    """Create it for its owner alone; raise ProvisioningError if others may read an existing one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        raise ProvisioningError(
            f"{folder} would hold private keys but others may read it: chmod 700 {folder}"
        )


def private_file(path: Path, content: bytes) -> None:
    """Write whole or not at all, 0600 from the first byte on."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def not_found_is_done() -> Iterator[None]:
    """Let pass that what is to be removed is gone already; raise any other refusal."""
    try:
        yield
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise


def retry_conflict(call: Callable[[], object]) -> None:
    """Repeat while a detach is still propagating (AWS answers a conflict or "still attached")."""
    conflicts = {"DeleteConflictException", "InvalidRequestException"}
    for attempt in range(1, DELETE_ATTEMPTS + 1):
        try:
            call()
        except ClientError as error:
            if error_code(error) not in conflicts or attempt == DELETE_ATTEMPTS:
                raise
            time.sleep(0.25)
        else:
            return
