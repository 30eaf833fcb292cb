"""The certificates of `raydl tls`; tests/test_roles.py runs a cluster with them."""

import datetime
import os
import stat
import subprocess

import pytest

pytest.importorskip("cryptography")

from cryptography import x509

from raydl.model.errors import OutputError, UsageError
from raydl.node.tls import make_certificates


def test_what_a_node_gets(tmp_path):
    made = make_certificates(tmp_path / "tls", ["127.0.0.1", "localhost", "::1"])
    assert [path.name for path in made] == ["127.0.0.1", "localhost", "__1"]
    for path in made:
        assert sorted(p.name for p in path.iterdir()) == ["ca.crt", "env", "tls.crt", "tls.key"]
        assert stat.S_IMODE(os.stat(path / "tls.key").st_mode) == 0o600
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
        assert (path / "ca.crt").read_bytes() == (tmp_path / "tls" / "ca.crt").read_bytes()
    assert stat.S_IMODE(os.stat(tmp_path / "tls" / "ca.key").st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate((made[0] / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "127.0.0.1" in [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
    assert 700 < left.days < 731


def test_openssl_finds_them_right(tmp_path):
    (made,) = make_certificates(tmp_path, ["127.0.0.1"])
    for purpose in ("sslserver", "sslclient"):
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile",
             tmp_path / "ca.crt", made / "tls.crt"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_the_authority_is_used_again(tmp_path):
    make_certificates(tmp_path, ["127.0.0.1"])
    before = (tmp_path / "ca.crt").read_bytes()
    (made,) = make_certificates(tmp_path, ["localhost"])
    assert (made / "ca.crt").read_bytes() == before


def test_the_environment_names_the_files_wherever_they_are(tmp_path):
    (made,) = make_certificates(tmp_path, ["127.0.0.1"])
    told = subprocess.run(
        ["bash", "-c", f'cd / && . "{made}/env" && env'], capture_output=True, text=True, check=True
    ).stdout
    assert "RAY_USE_TLS=1" in told
    for name, file in (
        ("SERVER_CERT", "tls.crt"),
        ("SERVER_KEY", "tls.key"),
        ("CA_CERT", "ca.crt"),
    ):
        assert f"RAY_TLS_{name}={made / file}" in told


@pytest.mark.parametrize("host", ["", "no such.invalid", "../up", "-x", " a"])
def test_what_is_no_host(tmp_path, host):
    with pytest.raises(UsageError):
        make_certificates(tmp_path / "tls", [host])
    assert not (tmp_path / "tls").exists()


def test_a_place_that_cannot_be_written_and_another_authority(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        make_certificates(tmp_path / "file" / "tls", ["127.0.0.1"])
    (tmp_path / "ca.key").write_text("nonsense")
    (tmp_path / "ca.crt").write_text("nonsense")
    with pytest.raises(UsageError, match="another kind of authority"):
        make_certificates(tmp_path, ["127.0.0.1"])
