"""Settings are read once, refused with the file, the key and the reason,
and never quote a value that may be a secret.
"""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.settings import Hl7Destination, Settings, read_settings
from ecgfm_connectors.dicom.results.profile import ObjectProfile
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.hl7.profile import Profile


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_gives_the_defaults_with_a_store_beside_it(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, ""))
    assert make_url(settings.store_url).database == str(tmp_path / "staging.sqlite")
    assert settings.model.bundle == "demo"
    assert settings.rules("reduced_lvef").min_age == 18


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[stor]\nurl = 'x'", "stor: unknown key"),
        (
            "[scoring]\nbatch = 3",
            "scoring.batch: unknown key; the keys there are batch_size, every_seconds, hang_seconds, held",
        ),
        (
            "[[listeners.dicom]]\naet = 'X'",
            "listeners.dicom.0.aet: unknown key; the keys there are ae_title, allowed_callers",
        ),
        ("[heads.troponin]\nage = 1", "heads.troponin.age: unknown key; the keys there are abnormal, allow, enabled"),
        (
            "[[sources.dicom]]\nname='p'\nhost='h'\nport=1\nae_title='A'\n[sources.dicom.tls]\nca='x'",
            "the keys there are certificate",
        ),
        ("[[listeners.dicom]]\nport = 99999", "listeners.dicom.0.port: "),
        ("[[listeners.dicom]]\nae_title = 'longer than sixteen'", "listeners.dicom.0.ae_title: "),
        ("[site]\ntime_zone = 'Mars/Phobos'", "not an IANA zone"),
        ("[[listeners.dicom]]\nname='a'\n[[sources.folder]]\nname='a'\npath='x'", "name used twice: a"),
        ("[[sources.folder]]\nname='b'\npath='x'\n[[sources.folder]]\nname='b'\npath='y'", "name used twice: b"),
        (
            "[[listeners.dicom]]\nport=104\n[[listeners.hl7]]\nport=104",
            "listener dicom and listener hl7 both open port 104",
        ),
        (
            "[heads.troponin]\nallow = ['nosie', 'noise']",
            "heads.troponin: allow names no reason code: nosie;",
        ),
        ("[learning.gate]\nmargn = 0.1", "learning.gate.margn: unknown key"),
        ("[learning.gate]\nmin_positives = 0", "learning.gate.min_positives: "),
        (
            "[learning.operating_points.troponin]\nat_last = 0.1",
            "learning.operating_points.troponin.at_last: unknown key",
        ),
        ("[learning.operating_points.troponin]\nat_least = 90", "90.0 is no share"),
        ("[learning.operating_points.troponin]\nwhat = 'ppv'", "a rule on ppv needs the prevalence"),
        (
            "[learning.site_operating_points.North.troponin]\nwhat = 'guess'",
            "learning.site_operating_points.North.troponin.what: ",
        ),
        ("[[learning.troponin.assays]]\nassay='a'\nlimit=1\nunits='ng/L'", "assays.0.units: unknown key"),
        ("[[learning.troponin.assays]]\nassay='a'\nlimit=0", "assays.0.limit: "),
        ("[[learning.troponin.assays]]\nlimit=1", "assays.0.assay: Field required"),
        ("[site", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_two_listeners_may_share_a_port_on_addresses_of_their_own(tmp_path: Path) -> None:
    text = '[[listeners.hl7]]\nname="a"\nhost="127.0.0.1"\n[[listeners.hl7]]\nname="b"\nhost="127.0.0.2"'
    assert read_settings(written(tmp_path, text)).listeners.names == ("a", "b")


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ecgfm-clinical init"):
        read_settings(tmp_path / "settings.toml")


def test_secrets_never_show_in_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "[store]\nurl = 5\npassword_file = 7\n[site]\nname = ['hunter2']")
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert "hunter2" not in str(caught.value)


def test_the_password_comes_from_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret!\n", encoding="utf-8")
    text = '[store]\nurl = "postgresql+psycopg://ecgfm@db/ecgfm"\npassword_file = "password"'
    settings = read_settings(written(tmp_path, text))
    assert settings.store_url == "postgresql+psycopg://ecgfm:s3cret%21@db/ecgfm"
    (tmp_path / "password").unlink()
    with pytest.raises(SettingsError, match="password cannot be read"):
        _ = settings.store_url


def test_the_environment_overrides_single_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGFM_SCORING__BATCH_SIZE", "3")
    settings = read_settings(written(tmp_path, "[scoring]\nbatch_size = 7\nmax_attempts = 9"))
    assert (settings.scoring.batch_size, settings.scoring.max_attempts) == (3, 9)


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, ""))
    with pytest.raises(ValueError, match="frozen"):
        settings.site = Settings().site  # the point of the test


HL7 = '[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = 6661\n'
FHIR = (
    '[[destinations.fhir]]\nname = "fhir"\nurl = "http://127.0.0.1/r4"\nnamespace = "https://hospital.example/fhir"\n'
)
PACS = '[[destinations.dicom]]\nname = "pacs"\nhost = "127.0.0.1"\nport = 104\nae_title = "PACS"\n'


def test_a_destination_holds_how_it_wants_its_results_in_the_connectors_own_type(tmp_path: Path) -> None:
    text = f'{HL7}version = "2.4"\n{FHIR}orders = "match"\n{PACS}report = "comprehensive-3d"\n'
    hl7, fhir, pacs = read_settings(written(tmp_path, text)).destinations.all
    assert hl7.profile == Profile(version="2.4")
    assert fhir.profile == FhirProfile(namespace="https://hospital.example/fhir", orders="match")
    assert pacs.profile == ObjectProfile(report="comprehensive-3d")


@pytest.mark.parametrize(
    ("destination", "key", "said"),
    [
        (
            HL7,
            "oops = 1",
            r"destinations\.hl7\.0\.oops: unknown key; the keys there are accept_ack, .*charset, .*version",
        ),
        (HL7, 'zone = "UTC"', r"hl7\.0\.zone: unknown key"),  # the site's, which the profile holds too
        (HL7, 'profile = { version = "2.4" }', r"hl7\.0\.profile: unknown key"),
        (HL7, '"<profile>" = { version = "2.4" }', r"hl7\.0: unknown key: <profile>"),
        (HL7, 'version = "2.9"', r"destinations\.hl7\.0\.version: Input should be '2.3', "),
        (HL7, 'charset = "LATIN"', r"destinations\.hl7\.0: charset LATIN: use one of ASCII, "),
        (FHIR, "decimals = 99", r"destinations\.fhir\.0: decimals must be from 2 to 15"),
        (FHIR, 'systems = { MRN = "ftp://x" }', r"destinations\.fhir\.0: systems\.MRN is no URI"),
        (PACS, 'institution = "General"', r"dicom\.0\.institution: unknown key"),
        (PACS, 'installation = ""', r"destinations\.dicom\.0: installation must have 1 to 64 characters"),
    ],
)
def test_what_a_destination_cannot_be_told_is_named(tmp_path: Path, destination: str, key: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(written(tmp_path, f"{destination}{key}\n"))


def test_a_companion_takes_the_page_to_the_same_place_by_a_queue_of_its_own(tmp_path: Path) -> None:
    text = '[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = 6661\npage = "companion"\n'
    settings = read_settings(written(tmp_path, text))
    assert settings.destination_names == ("ehr", "ehr-page")
    assert settings.destinations.with_page == {"ehr-page"}
    _, page = settings.destinations.all
    assert isinstance(page, Hl7Destination)
    assert (page.profile.form, page.profile.contents, page.profile.page, page.port) == ("MDM", "page", "ORU", 6661)
