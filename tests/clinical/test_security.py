"""What others could read or reach: modes of what is written, open ports and peers, secrets in URLs."""

import json
import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ecgfm_clinical.connections import build_source
from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.operate import leaks
from ecgfm_clinical.operate.security import weaknesses
from ecgfm_clinical.operate.setup import example_settings, write_installation
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_clinical.settings.exposure import is_loopback
from ecgfm_clinical.staging import engine
from ecgfm_clinical.wiring import open_store
from ecgfm_connectors.dicom.web import DicomWebSource, without_secrets
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.files.drop import FileDrop

pytestmark = pytest.mark.slow

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")

TLS = 'tls = { certificate = "c", key = "k", trusted = "t" }'


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def permissive() -> object:
    """The umask of most installations, under which the faults were seen."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return read_settings(path)


def weak(settings: Settings) -> list[str]:
    return [f"{one.part}: {one.text}" for one in weaknesses(settings, settings.folder / "settings.toml") if not one.ok]


def as_command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@posix
def test_what_init_writes_is_clean(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    assert as_command("init", folder).returncode == 0
    for path in (folder, *folder.rglob("*")):
        assert mode(path) & 0o077 == 0, path
    done = as_command("check", "--security", "--settings", folder / "settings.toml", "--json")
    assert done.returncode == 0, done.stdout
    assert [line["text"] for line in json.loads(done.stdout)] == ["nothing weak was found"]


@posix
def test_store_backup_and_results_are_for_their_user(tmp_path: Path) -> None:
    path = write_installation(tmp_path / "site")
    with closing(open_store(read_settings(path))) as store:
        backup = tmp_path / "backup.sqlite"
        store.care.back_up(backup)
        modes = {file.name: mode(file) for file in (backup, *(tmp_path / "site").glob("staging.sqlite*"), path)}
    assert {"staging.sqlite", "staging.sqlite-wal", "backup.sqlite", "settings.toml"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes
    results = tmp_path / "results"
    results.mkdir()
    FileDrop(name="results", folder=results).send(b"MSH|", control_id="E1")
    assert mode(results / "E1.hl7") == 0o640


@posix
def test_modes_that_are_weak_are_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("1 00")
    (tmp_path / "drop").mkdir(mode=0o777)
    settings = settings_of(
        tmp_path,
        '[store]\nkey_file = "keys"\n[[sources.folder]]\nname = "drop"\npath = "drop"\nprocessed = "keep"\n'
        '[[destinations.file]]\nname = "results"\npath = "r"\nmode = "0644"\n',
    )
    for name in ("staging.sqlite", "copy.db"):
        (tmp_path / name).write_bytes(b"SQLite format 3\0")
    found = weak(settings)
    for said in ("keys can be read", "staging.sqlite can be read", "copy.db can be read", "every user of this machine"):
        assert any(said in line for line in found), (said, found)
    assert any("mode 0644" in line for line in found)
    assert any("processed/ is not" in line for line in found)


@posix
def test_files_that_prove_who_may_use_the_console_are_secrets(tmp_path: Path) -> None:
    """Who reads the digests of passwords and tokens can guess at them; who writes there signs in."""
    settings = settings_of(tmp_path, '[web]\nusers = "people.toml"\ntokens = "tokens.toml"\n')
    for name in ("people.toml", "tokens.toml"):
        (tmp_path / name).touch(mode=0o644)
    found = weak(settings)
    for part, name in (("web.users", "people.toml"), ("web.tokens", "tokens.toml")):
        assert any(line.startswith(f"{part}: ") and f"chmod 600 {tmp_path / name}" in line for line in found), found
        (tmp_path / name).chmod(0o600)
    assert not [line for line in weak(settings) if line.startswith("web.")]


SECRET_FILES = """
[store]
key_file = "k1"
password_file = "k2"
[audit]
key_file = "k3"
[[listeners.hl7]]
name = "hl7"
host = "127.0.0.1"
tls = { certificate = "c", key = "k4", trusted = "t" }
[[sources.sftp]]
name = "sftp"
host = "h"
user = "u"
known_hosts = "known"
key = "k5"
password_file = "k6"
[[sources.dicomweb]]
name = "web"
url = "https://pacs.example"
authorization_file = "k7"
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = 1
tls = { certificate = "c", key = "k8", trusted = "t" }
"""


@posix
def test_every_file_that_holds_a_secret_is_looked_at(tmp_path: Path) -> None:
    """The key that signs the audit trail was left out, and whatever came later would have been."""
    files = [tmp_path / f"k{number}" for number in range(1, 9)]
    for path in files:
        path.write_text("secret")
        path.chmod(0o600)
    settings = settings_of(tmp_path, SECRET_FILES)
    assert not [line for line in weak(settings) if "can be read" in line]
    for path in files:
        path.chmod(0o644)
        (line,) = [line for line in weak(settings) if "can be read" in line]
        assert str(path) in line
        path.chmod(0o600)


@posix
def test_a_folder_in_which_others_can_put_files_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "")
    tmp_path.chmod(0o777)
    assert any(str(tmp_path) in line and "changed by other users" in line for line in weak(settings))
    tmp_path.chmod(0o700)
    assert weak(settings) == []


OPEN = {
    "listener": '[[listeners.hl7]]\nname = "a"\nhost = "0.0.0.0"\n',
    "dicom listener": '[[listeners.dicom]]\nname = "a"\nhost = ""\n',
    "destination": '[[destinations.hl7]]\nname = "a"\nhost = "ehr.example"\nport = 1\n',
}


@pytest.mark.parametrize("text", OPEN.values(), ids=OPEN)
def test_new_settings_name_what_is_open(tmp_path: Path, text: str) -> None:
    """Older settings go on working, with a finding; those of today's form must say that it is meant."""
    (one,) = settings_of(tmp_path, text).exposed()
    assert not one.accepted
    assert weak(settings_of(tmp_path, text)) != []
    with pytest.raises(SettingsError, match='cleartext = "accepted"'):
        settings_of(tmp_path, f"form = 2\n{text}")
    accepted = settings_of(tmp_path, f'form = 2\n{text}cleartext = "accepted"\n')
    assert [one.accepted for one in accepted.exposed()] == [True]
    assert weak(accepted) == []
    assert list(settings_of(tmp_path, f"form = 2\n{text}{TLS}\n").exposed()) == []


@pytest.mark.parametrize("closed", ['allowed_hosts = ["10.0.0.0/8"]', TLS, 'host = "127.0.0.1"', 'host = "::1"'])
def test_what_is_closed_needs_no_word(tmp_path: Path, closed: str) -> None:
    host = "" if "host =" in closed else 'host = "0.0.0.0"\n'
    settings = settings_of(tmp_path, f'form = 2\n[[listeners.hl7]]\nname = "a"\n{host}{closed}\n')
    assert list(settings.exposed()) == []


def test_the_settings_that_init_writes_are_of_todays_form(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, example_settings())
    assert settings.form == 2
    assert list(settings.exposed()) == []


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("", False), ("0.0.0.0", False)],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


SECRET = "https://reader:swordfish@pacs.example:1/dicom-web?token=hunter2"


def test_secrets_in_a_url_are_never_said(tmp_path: Path) -> None:
    assert without_secrets(SECRET) == "https://pacs.example:1/dicom-web"
    pytest.importorskip("httpx", reason="the package httpx is not installed")
    source = DicomWebSource(name="pacs", url=SECRET.replace("pacs.example", "127.0.0.1"))
    with pytest.raises(ConnectorError) as caught:
        source.check()
    settings = settings_of(tmp_path, f'[[sources.dicomweb]]\nname = "pacs"\nurl = "{SECRET}"\n')
    said = [str(caught.value), *weak(settings), *(one.text for one in settings.exposed())]
    assert any("authorization_file" in line for line in said)
    assert not [line for line in said if "swordfish" in line or "hunter2" in line]


SECRET_URLS = """
[store]
url = "postgresql+psycopg://ecgfm:swordfish@db.example/ecgfm"
[[sources.dicomweb]]
name = "archive"
url = "https://reader:swordfish@pacs.example/dicom-web"
[[destinations.stow]]
name = "pacs"
url = "https://pacs.example/dicom-web?token=hunter2"
[[destinations.fhir]]
name = "fhir"
url = "https://:swordfish@fhir.example/r4"
namespace = "https://ecg.example"
[[alerts.webhook]]
name = "chat"
url = "https://chat.example/services/T0A1B2C3D4E5F6G7H8I9J0K1"
[[alerts.command]]
name = "pager"
command = ["page", "https://page.example/?key=hunter2"]
[monitoring.otlp]
url = "https://metrics.example/v1/metrics?token=hunter2"
[web.oidc]
issuer = "https://u:swordfish@login.example/ecg"
console = "https://ecg.example"
client_id = "ecgfm"
secret_file = "oidc"
[web.roles]
viewer = ["v"]
"""


def test_a_secret_in_any_url_is_named_with_the_file_that_it_belongs_into(tmp_path: Path) -> None:
    """Only those of a DICOMweb source and of the store were looked at."""
    found = weak(settings_of(tmp_path, SECRET_URLS))
    for part, remedy in (
        ("store", "store.password_file"),
        ("sources dicomweb archive", "authorization_file"),
        ("destinations stow pacs", "authorization_file"),
        ("destinations fhir fhir", "authorization_file"),
        ("alerts webhook chat", "url_file"),
        ("alerts command pager", "take it out"),
        ("monitoring otlp", "headers_file"),
        ("web oidc", "take it out"),
    ):
        assert any(line.startswith(f"{part}: ") and remedy in line for line in found), (part, found)
    assert not [line for line in found if "swordfish" in line or "hunter2" in line or "T0A1" in line]


def test_keys_and_backups_that_are_lost_or_copied_with_the_store_are_named(tmp_path: Path) -> None:
    path = write_installation(tmp_path / "site")
    for folder in (tmp_path / "secrets", tmp_path / "backups"):
        folder.mkdir(mode=0o700)
    secret = tmp_path / "secrets" / "keys"
    for place in (secret, path.parent / "keys"):
        place.write_text("1 " + "00" * 32)
        place.chmod(0o600)
    text = path.read_text().replace("[store]", f'[store]\nkey_file = "{secret}"')
    path.write_text(text)
    assert [line for line in weak(read_settings(path)) if "swap" not in line] == []
    path.write_text(text.replace(str(secret), "keys"))
    assert any("key lies beside the store" in line for line in weak(read_settings(path)))
    path.write_text(text)
    for backup in (tmp_path / "backups" / "a.sqlite", secret.parent / "b.sqlite"):
        assert as_command("backup", backup, "--settings", path).returncode == 0
    found = weak(read_settings(path))
    assert any(line.startswith("store.key_file: ") and "b.sqlite" in line for line in found)
    assert not [line for line in found if "beside" in line and "a.sqlite" in line]
    assert any(line.startswith("backup: ") and "lost with it" in line for line in found)
    (tmp_path / "backups" / "a.sqlite").unlink()
    (secret.parent / "b.sqlite").unlink()
    assert not [line for line in weak(read_settings(path)) if "backup" in line]


@pytest.mark.parametrize(
    ("device", "uuid", "named"),
    [("sda2", "", True), ("zram0", "", False), ("dm-1", "CRYPT-PLAIN-swap", False), ("dm-2", "LVM-abc", True)],
)
def test_swap_in_clear_is_named_where_the_store_is_encrypted(
    tmp_path: Path, device: str, uuid: str, named: bool
) -> None:
    (tmp_path / "blocks" / device / "dm").mkdir(parents=True)
    (tmp_path / "blocks" / device / "dm" / "uuid").write_text(uuid)
    swaps = tmp_path / "swaps"
    swaps.write_text(f"Filename Type Size Used Priority\n/dev/{device} partition 1 0 -2\n")
    for key, expected in (('[store]\nkey_file = "keys"\n', named), ("", False)):
        lines = list(leaks.in_swap(settings_of(tmp_path, key), swaps=swaps, blocks=tmp_path / "blocks"))
        assert bool(lines) is expected


@pytest.mark.parametrize(("key", "kept"), [("", True), ('[store]\nkey_file = "keys"\n', False)])
def test_read_files_are_kept_where_the_store_is_not_encrypted_either(tmp_path: Path, key: str, kept: bool) -> None:
    settings = settings_of(tmp_path, f'{key}[[sources.folder]]\nname = "drop"\npath = "drop"\n')
    assert settings.keeps_processed(settings.sources.folder[0]) is kept
    assert build_source(settings, settings.sources.folder[0]).name == "drop"


@pytest.mark.parametrize("store", ["", '[store]\nkey_file = "keys"\n'])
def test_files_of_an_sftp_server_too_are_kept_where_the_store_is_not_encrypted(tmp_path: Path, store: str) -> None:
    pytest.importorskip("paramiko", reason="the package paramiko is not installed")
    from ecgfm_connectors.files.sftp import SftpSource

    sftp = '[[sources.sftp]]\nname = "sftp"\nhost = "127.0.0.1"\nuser = "u"\nknown_hosts = "k"\n'
    settings = settings_of(tmp_path, store + sftp)
    source = build_source(settings, settings.sources.sftp[0])
    assert isinstance(source, SftpSource)
    assert source._keep is not bool(store)
    kept = settings_of(tmp_path, f'{store}{sftp}processed = "keep"\n')
    assert any("source sftp" in line and "processed/ is not" in line for line in weak(kept)) is bool(store)


@posix
def test_a_new_database_file_is_for_its_user(tmp_path: Path) -> None:
    engine.make_file(tmp_path / "a.sqlite")
    engine.make_file(tmp_path / "a.sqlite")
    assert mode(tmp_path / "a.sqlite") == 0o600
