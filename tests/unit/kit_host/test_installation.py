"""Two installations on one Kafka and one MongoDB never meet, unless somebody wants it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from patchline_kit.folder import name_of
from patchline_kit.installation import Installation, database_named_in, installation_of, servers_named_in
from patchline_kit.settings import ServiceSettings, SettingsError, load_settings

SHARED = {"kafka": "broker:9092", "mongo": "mongodb://db:27017"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATCHLINE_TOPIC_PREFIX", raising=False)


def names(folder: Path, **given: object) -> Installation:
    return installation_of(load_settings(ServiceSettings, dir=folder, **{**SHARED, **given}))


def test_a_folder_has_a_prefix_and_a_database_of_its_own_that_stay(tmp_path: Path):
    ours, theirs = names(tmp_path / "a"), names(tmp_path / "b")
    assert ours.topic_prefix.startswith("patchline-")
    assert ours.topic_prefix.endswith(".")
    assert ours.database.startswith("patchline_")
    assert ours.topic_prefix != theirs.topic_prefix
    assert ours.database != theirs.database
    assert names(tmp_path / "a") == ours


def test_explicit_names_win_and_need_no_folder(tmp_path: Path):
    given = names(tmp_path / "none", topic_prefix="acme.", mongo="mongodb://db/patches?replicaSet=rs0")
    assert given == Installation("acme.", "patches")
    assert not (tmp_path / "none").exists()


def test_without_shared_servers_nothing_is_named(tmp_path: Path):
    alone = load_settings(ServiceSettings, dir=tmp_path / "none")
    assert installation_of(alone) == Installation("", "")
    assert not (tmp_path / "none").exists()


def test_processes_that_start_at_the_same_time_agree_on_the_name(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: name_of(tmp_path), range(8)))) == 1


@pytest.mark.parametrize(
    ("uri", "database", "servers"),
    [
        ("mongodb://db", "", "db"),
        ("mongodb://db/", "", "db"),
        ("mongodb://a:1,b:2/app?w=1", "app", "a:1,b:2"),
        ("mongodb+srv://user:p%40ss@cluster.example/?tls=true", "", "cluster.example"),
    ],
)
def test_a_uri_names_a_database_and_shows_no_password(uri: str, database: str, servers: str):
    assert (database_named_in(uri), servers_named_in(uri)) == (database, servers)


def test_a_wrong_uri_is_refused_without_showing_it():
    with pytest.raises(SettingsError, match=r"PATCHLINE_MONGO=\*\*\*: must be mongodb://"):
        load_settings(ServiceSettings, mongo="postgres://user:secret@db")


def test_passwords_and_tokens_are_known_as_secrets():
    given = load_settings(
        ServiceSettings, mongo="mongodb://user:s3cret@db", token="t0ken", kafka_password="k"
    )
    assert sorted(given.secrets()) == ["k", "s3cret", "t0ken"]
