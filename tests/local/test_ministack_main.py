"""What of MiniStack has no environment variable and is set from inside its process."""

import resource
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.adapters import certificate_authority
from local.ministack_main import IDLE_WAKE_GAP_S, OPEN_FILES, shorten_pause
from pipeline.contract import Thing
from simulators.provisioning import signing_request

pytestmark = pytest.mark.unit


def test_the_pause_is_there_and_is_made_shorter():
    """In the MiniStack that is installed: a new version without it fails here, not silently."""
    from ministack.services import lambda_svc

    assert lambda_svc._ESM_IDLE_WAKE_GAP_SECONDS >= IDLE_WAKE_GAP_S
    copy = ModuleType(lambda_svc.__name__)
    vars(copy).update(vars(lambda_svc))
    shorten_pause(copy)
    assert copy._ESM_IDLE_WAKE_GAP_SECONDS == IDLE_WAKE_GAP_S


def test_a_version_without_the_pause_is_refused_by_name():
    """One can see what to delete."""
    with pytest.raises(AttributeError, match="other_svc has no _ESM_IDLE_WAKE_GAP_SECONDS"):
        shorten_pause(ModuleType("other_svc"))


@pytest.fixture(scope="module")
def authority() -> Any:
    """MiniStack's X.509 module in a copy of its own, with the adapter in it."""
    from importlib.util import module_from_spec

    import ministack.core.x509_utils as theirs

    assert theirs.__spec__ is not None
    assert theirs.__spec__.loader is not None
    copy = module_from_spec(theirs.__spec__)
    theirs.__spec__.loader.exec_module(copy)
    certificate_authority.install(copy)
    return copy


def signed(authority: Any, ca: str, ca_key: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    request = signing_request(Thing("maple-court", "l01"), key)
    pem = authority.sign_certificate_request(ca, ca_key, request)
    return x509.load_pem_x509_certificate(pem.encode())


def test_the_key_of_the_emulators_ca_is_loaded_once(authority: Any):
    """Certificates by the thousand parse it no second time, and a client verifies each."""
    ca, ca_key = authority.generate_ca()
    before = authority.serialization.load_pem_private_key.cache_info().misses
    certificates = [signed(authority, ca, ca_key) for _ in range(3)]
    assert authority.serialization.load_pem_private_key.cache_info().misses == before + 1
    root = x509.load_pem_x509_certificate(ca.encode())
    for certificate in certificates:
        certificate.verify_directly_issued_by(root)


def test_another_ca_signs_with_its_own_key(authority: Any):
    """A key that is remembered is never taken for another one."""
    for _ in range(2):
        ca, ca_key = authority.generate_ca()
        root = x509.load_pem_x509_certificate(ca.encode())
        signed(authority, ca, ca_key).verify_directly_issued_by(root)


def test_a_first_use_does_not_undo_it(authority: Any):
    """MiniStack sets the module's names on first use; by then that is over."""
    authority._require_crypto()
    assert isinstance(authority.serialization, certificate_authority.KeptKey)
    assert authority.serialization.Encoding is serialization.Encoding


def test_the_emulator_may_hold_a_fleet():
    """Its soft limit of open files, 1,024 in most shells, goes up as far as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ceiling = 2_048 if hard == resource.RLIM_INFINITY else min(2_048, hard)
    program = (
        "import resource\n"
        "from local.ministack_main import allow_open_files\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (256, {ceiling}))\n"
        "allow_open_files()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    assert int(asked.stdout) == min(ceiling, OPEN_FILES)
