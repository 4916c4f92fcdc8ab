from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import BackendSettings, ServerSettings, Settings, load_settings, with_options
from optimizer.errors import InvalidInputError

ANYWHERE = "0.0.0.0"  # noqa: S104

REAL = """
[backends.local]
base_url = "http://127.0.0.1:8001/v1"
api_key_env = "LOCAL_KEY"
max_concurrency = 8
price = { input_per_million = 0.5, output_per_million = 1.5 }

[targets.helper]
backend = "local"
model = "some/model"

[roles]
proposer = { backend = "local", model = "big" }
selector = { backend = "local", model = "big" }
judge = { backend = "local", model = "big" }
"""


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def written(tmp_path: Path, text: str, name: str = "drpo.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_without_configuration_everything_is_simulated() -> None:
    settings = load_settings()
    assert [backend.kind for backend in settings.backends.values()] == ["simulated"]
    assert list(settings.targets) == ["simulated-small", "simulated-chat", "simulated-base"]
    assert settings.targets["simulated-base"].api == "completions"
    assert settings.roles.judge.model == "simulated-critic"
    assert settings.server.host == "127.0.0.1"


def test_the_file_in_the_working_directory_is_read(tmp_path: Path) -> None:
    written(tmp_path, REAL)
    settings = load_settings()
    assert list(settings.backends) == ["local"]
    assert settings.backends["local"].price.output_per_million == 1.5
    assert list(settings.targets) == ["helper"]


def test_the_variable_names_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "[server]\nport = 1")
    monkeypatch.setenv("DRPO_CONFIG", str(written(tmp_path, "[server]\nport = 2", "other.toml")))
    assert load_settings().server.port == 2
    assert load_settings(written(tmp_path, "[server]\nport = 3", "third.toml")).server.port == 3


def test_environment_variables_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "[server]\nport = 1\nmax_body_bytes = 2048")
    monkeypatch.setenv("DRPO_SERVER__PORT", "9")
    server = load_settings().server
    assert (server.port, server.max_body_bytes) == (9, 2048)


def test_one_setting_of_the_embedded_backend_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_BACKENDS__SIMULATED__SIMULATED__LATENCY_MS", "50")
    monkeypatch.setenv("DRPO_BACKENDS__SIMULATED__SIMULATED__FAULTS__RATE_LIMITED", "0.25")
    settings = load_settings()
    simulated = settings.backends["simulated"].simulated
    assert simulated is not None
    assert (simulated.latency_ms, simulated.faults.rate_limited) == (50, 0.25)
    assert list(settings.targets) == ["simulated-small", "simulated-chat", "simulated-base"]


def test_targets_of_one_s_own_replace_the_embedded_ones() -> None:
    settings = Settings.model_validate({"targets": {"mine": {"backend": "simulated", "model": "m"}}})
    assert list(settings.targets) == ["mine"]


def test_settings_made_in_code_read_nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_SERVER__PORT", "9")
    assert Settings.model_validate({}).server.port == 8000


def test_a_real_backend_needs_its_own_targets_and_roles(tmp_path: Path) -> None:
    written(tmp_path, '[backends.local]\nbase_url = "http://127.0.0.1:1/v1"')
    with pytest.raises(InvalidInputError, match=r"(?s)targets: .*roles: "):
        load_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nprot = 1", r"server\.prot: "),
        ("[server]\nport = 70000", r"server\.port: .*65535"),
        ("[nonsense]", r"nonsense: "),
        ("[backends.local]\nkind = 'openai'", r"backends\.local: base_url is missing"),
        ("[backends.simulated]\nbase_url = 'http://x/v1'", r"backends\.simulated: .*remove it"),
        (
            "[backends.x]\nbase_url = 'http://x/v1'\nsimulated = {}",
            r"backends\.x: the group simulated needs kind",
        ),
        (
            "[backends.x]\nbase_url = 'http://me:word@x/v1'\napi_key_env = 'A'",
            r"backends\.x: base_url names a user, and there is an API key too",
        ),
        (
            "[backends.x]\nbase_url = 'http://x/v1'\napi_key_env = 'A'\napi_key_file = 'b'",
            r"backends\.x: set api_key_env or api_key_file, not both",
        ),
        ("[server]\nhost = '0.0.0.0'", r"server: host '0\.0\.0\.0' .*server\.api_key_file"),
        ("[server]\napi_key = 'a'\napi_key_file = 'b'", r"server: set api_key or api_key_file, not both"),
        (
            "[targets.a]\nbackend = 'nowhere'\nmodel = 'm'",
            r"targets\.a\.backend is 'nowhere'.*use one of simulated",
        ),
        ("[roles.judge]\nbackend = 'nowhere'", r"roles\.judge\.backend is 'nowhere'"),
        ("[server", "not valid TOML"),
        ("backends = 3", "backends: "),
    ],
)
def test_a_message_names_the_field_and_what_to_change(tmp_path: Path, text: str, message: str) -> None:
    written(tmp_path, text)
    with pytest.raises(InvalidInputError, match=message):
        load_settings()


def test_a_misspelt_group_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_SERVR__PORT", "9")
    with pytest.raises(InvalidInputError, match=r"DRPO_SERVR__PORT names no setting.*server"):
        load_settings()


def test_variables_that_are_not_settings_may_share_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_SOMETHING_ELSE", "9")
    assert load_settings().server.port == 8000


def test_broken_json_in_a_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_TARGETS", "{")
    with pytest.raises(InvalidInputError, match="targets"):
        load_settings()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot read the configuration file"):
        load_settings(tmp_path / "absent.toml")


def test_no_message_shows_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_SERVER__API_KEY", "very-secret")
    monkeypatch.setenv("DRPO_SERVER__API_KEY_FILE", "very-secret-file")
    with pytest.raises(InvalidInputError) as caught:
        load_settings()
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert ServerSettings(host=host).read_api_key() is None


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.0.2.1", "example.org", ""])
def test_any_other_host_needs_a_key(host: str) -> None:
    with pytest.raises(ValidationError, match="can be reached from other machines"):
        ServerSettings(host=host)
    opened = ServerSettings.model_validate({"host": host, "api_key": "k"}).read_api_key()
    assert opened is not None
    assert opened.get_secret_value() == "k"


def test_the_server_s_key_comes_from_its_file(tmp_path: Path) -> None:
    key = ServerSettings(host=ANYWHERE, api_key_file=written(tmp_path, " k\n", "key")).read_api_key()
    assert key is not None
    assert key.get_secret_value() == "k"


def test_a_backend_s_key_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_KEY", " one ")
    url = "http://127.0.0.1:1/v1"
    named = BackendSettings.model_validate({"base_url": url, "api_key_env": "LOCAL_KEY"})
    filed = BackendSettings.model_validate(
        {"base_url": url, "api_key_file": written(tmp_path, "two\n", "key")}
    )
    keys = [named.read_api_key("b"), filed.read_api_key("b")]
    assert [key.get_secret_value() for key in keys if key] == ["one", "two"]
    assert BackendSettings.model_validate({"base_url": url}).read_api_key("b") is None
    assert "one" not in repr(keys)


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:1/v1"
    unset = BackendSettings.model_validate({"base_url": url, "api_key_env": "ABSENT_KEY"})
    with pytest.raises(InvalidInputError, match=r"backends\.b\.api_key_env .*ABSENT_KEY.*set it") as caught:
        unset.read_api_key("b")
    assert caught.value.param == "backends.b.api_key_env"
    for content in ("", "  \n", "two\nlines", "kéy"):
        filed = BackendSettings(base_url=unset.base_url, api_key_file=written(tmp_path, content, "key"))
        with pytest.raises(InvalidInputError, match=r"backends\.b\.api_key_file"):
            filed.read_api_key("b")
    absent = BackendSettings(base_url=unset.base_url, api_key_file=tmp_path / "absent")
    with pytest.raises(InvalidInputError, match=r"backends\.b\.api_key_file: cannot read"):
        absent.read_api_key("b")


def test_another_address_is_checked_like_a_configured_one() -> None:
    settings = Settings.model_validate({"server": {"port": 1, "max_body_bytes": 2048}})
    moved = with_options(settings, "server", host="::1", port=2).server
    assert (moved.host, moved.port, moved.max_body_bytes) == ("::1", 2, 2048)
    assert with_options(settings, "server", host=None, port=None) == settings
    with pytest.raises(InvalidInputError, match="can be reached from other machines"):
        with_options(settings, "server", host=ANYWHERE, port=None)


def test_the_database_s_password_does_not_show() -> None:
    settings = Settings.model_validate({"database": {"url": "postgresql+psycopg://u:hidden@h/d"}})
    assert "hidden" not in repr(settings)


ROUTES = """
[[targets.helper.routes]]
backend = "local"
model = "{model}"
weight = {weight}

[[targets.helper.fallbacks]]
backend = "{fallback}"
model = "other"
"""


def test_a_target_has_routes_and_fallbacks(tmp_path: Path) -> None:
    text = REAL + ROUTES.format(model="second", weight=3, fallback="local")
    target = load_settings(written(tmp_path, text)).targets["helper"]
    assert [route.model for route in target.weighted()] == ["some/model", "second"]
    assert [(place, route.model) for place, route in target.places()] == [
        ("", "some/model"),
        (".routes.0", "second"),
        (".fallbacks.0", "other"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fallback": "nobody"}, "targets.helper.fallbacks.0.backend is 'nobody'"),
        ({"model": "some/model"}, "routes.0 names local/some/model again"),
        ({"weight": -1}, "targets.helper.routes.0.weight"),
    ],
)
def test_routes_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    given = {"model": "second", "weight": 1, "fallback": "local", **change}
    with pytest.raises(InvalidInputError) as caught:
        load_settings(written(tmp_path, REAL + ROUTES.format(**given)))
    assert said in str(caught.value)


def test_somebody_has_to_be_asked(tmp_path: Path) -> None:
    text = REAL.replace('model = "some/model"', 'model = "some/model"\nweight = 0')
    with pytest.raises(InvalidInputError, match="every weight is 0"):
        load_settings(written(tmp_path, text))


def test_answers_are_kept_in_redis_only_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"needs redis\.url"):
        load_settings(written(tmp_path, REAL + '\n[cache]\nstore = "redis"'))
