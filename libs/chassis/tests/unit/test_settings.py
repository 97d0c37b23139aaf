from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict
from rapport_chassis.settings import ServiceSettings
from rapport_chassis.settings_report import masked, settings_table


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="RAPPORT_SAMPLE_")

    greeting: str = "hello"
    """What to say."""


REQUIRED = {
    "GRPC__TLS__CERTIFICATE": "/tls/crt",
    "GRPC__TLS__KEY": "/tls/key",
    "GRPC__TLS__AUTHORITIES": "/tls/ca",
    "DATABASE__DSN": "postgresql://sample:geheim@host/sample",
    "AUTH__POLICY_FILE": "/policy.yaml",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(f"RAPPORT_SAMPLE_{name}", value)


def test_variables_reach_nested_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_SAMPLE_GRPC__MAX_IN_FLIGHT", "7")
    monkeypatch.setenv("RAPPORT_SAMPLE_HTTP__PORT", "8080")
    settings = Settings()
    assert (settings.grpc.max_in_flight, settings.grpc.tls.key) == (7, Path("/tls/key"))
    assert settings.http is not None
    assert settings.http.port == 8080
    assert settings.database.direct.get_secret_value() == REQUIRED["DATABASE__DSN"]


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAPPORT_SAMPLE_DATABASE__DSN")
    monkeypatch.setenv("RAPPORT_SAMPLE_SECRETS_FOLDER", str(tmp_path))
    (tmp_path / "database__dsn").write_text("postgresql://from-a-file\n")
    (tmp_path / "database__direct_dsn").write_text("postgresql://direct\n")
    settings = Settings()
    assert settings.database.dsn.get_secret_value() == "postgresql://from-a-file"
    assert settings.database.direct.get_secret_value() == "postgresql://direct"


def test_a_variable_wins_over_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAPPORT_SAMPLE_SECRETS_FOLDER", str(tmp_path))
    (tmp_path / "database__dsn").write_text("postgresql://from-a-file")
    assert Settings().database.dsn.get_secret_value() == REQUIRED["DATABASE__DSN"]


def test_a_folder_of_secrets_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAPPORT_SAMPLE_SECRETS_FOLDER", str(tmp_path / "nowhere"))
    with pytest.raises(Exception, match="does not exist"):
        Settings()


@pytest.mark.parametrize("name", ["GRPC__TYPO", "DATABASE__DSM"])
def test_a_name_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"RAPPORT_SAMPLE_{name}", "geheim")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "geheim" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.grpc.port = 1  # type: ignore[misc]


def test_the_report_masks_every_secret_and_shows_the_rest() -> None:
    rows = dict(masked(Settings()))
    assert rows["RAPPORT_SAMPLE_DATABASE__DSN"] == "********"
    assert rows["RAPPORT_SAMPLE_GREETING"] == "hello"
    assert "geheim" not in str(rows)


def test_the_table_describes_every_setting() -> None:
    lines = settings_table(Settings).splitlines()[2:]
    assert "| `RAPPORT_SAMPLE_GREETING` | `hello` | What to say. |" in lines
    assert any(line.startswith("| `RAPPORT_SAMPLE_DATABASE__DSN` | required |") for line in lines)
    assert all(line.split("|")[3].strip() for line in lines)
