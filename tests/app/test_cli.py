import asyncio
import json
from pathlib import Path

import pytest

from store.connections import Database
from store.records.optimizations import OptimizationStatus
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from tests.app.chat.serving import add_version, serve_service
from tests.app.command_line import drpo

MODEL = "simulated-small"
KEY = "sk-ours-0123456789abcdef"
SMALL = ("--preset", "mini", "--set", "depth=2", "--set", "minibatch_size=2", "--held-out", "8")
PROCESSES = ("serve", "worker", "migrate")
COMMANDS = (*PROCESSES, "optimize", "examples", "replay", "ledger", "prompts", "chat", "demo")

pytestmark = pytest.mark.usefixtures("restored_logging")


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str) -> None:
    """A folder and a store of the test's own, and no service that it could find on the usual port."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRPO_DATABASE__URL", sqlite_url)
    monkeypatch.setenv("DRPO_SERVER__PORT", "0")
    monkeypatch.setenv("COLUMNS", "100")


def stored_version(sqlite_url: str, system_prompt: str, *, label: str | None = "production") -> str:
    async def store() -> str:
        database = Database(sqlite_url)
        try:
            prompts = PromptRepository(database)
            return (await add_version(prompts, system_prompt, model=MODEL, label=label)).id
        finally:
            await database.close()

    return asyncio.run(store())


def test_help_names_every_command() -> None:
    told = drpo("--help")
    assert told.code == 0
    assert all(f"{command} " in told.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    told = drpo(command, "--help")
    assert told.code == 0
    assert f"drpo {command}" in told.out


def test_a_job_is_scored_by_what_the_command_line_says(tmp_path: Path) -> None:
    rewards = tmp_path / "rewards.json"
    rewards.write_text('{"checks": [{"name": "Short", "kind": "length", "max": 90, "soft": 90}]}')
    own = ("--criterion", "Tact: It is kind.", "--weight", "Tact=2", "--weight", "Safety=0")
    told = drpo("optimize", MODEL, *SMALL, *own, "--rewards", str(rewards), "--json")
    assert told.code == 0, told.err
    job = json.loads(told.out)
    assert job["rewards"]["criteria"][0]["weight"] == 2
    assert job["rewards"]["weights"] == {"Safety": 0}
    assert job["rewards"]["checks"][0]["name"] == "Short"
    refused = drpo("optimize", MODEL, *SMALL, "--weight", "Wit=2")
    assert (refused.code, "there is no built-in criterion 'Wit'" in refused.err) == (1, True)


def test_an_unknown_command_is_a_usage_error() -> None:
    told = drpo("optimise")
    assert told.code == 2
    assert "optimise" in told.err


CONFIGURATIONS = [
    ("[server]\nport = 'eighty'", "server.port: "),
    ("[server]\nhost = '0.0.0.0'", "'0.0.0.0' can be reached from other machines: set server.api_key_file"),
    ("[serverr]\nport = 1", "serverr: "),
    ("[targets.a]\nbackend = 'none'\nmodel = 'm'", "targets.a.backend is 'none'"),
    ("[backends.x]\nbase_url = 'nonsense'", "backends.x.base_url: "),
    ("port = ", "is not valid TOML"),
]


@pytest.mark.parametrize(("text", "message"), CONFIGURATIONS)
@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["prompts"]], ids=lambda words: str(words[0]))
def test_a_configuration_that_cannot_be_used_names_the_field(
    command: list[str], text: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DRPO_SERVER__PORT")
    config = tmp_path / "own.toml"
    config.write_text(text, encoding="utf-8")
    told = drpo(*command, "--config", str(config))
    assert told.code == 1
    assert told.err.startswith("drpo: ")
    assert message in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_a_configuration_that_is_not_there_is_named() -> None:
    told = drpo("serve", "--config", "none.toml")
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "none.toml" in told.err


def test_an_address_of_this_machine_s_network_needs_a_key() -> None:
    told = drpo("serve", "--host", "192.168.7.7")
    assert told.code == 1
    assert "host '192.168.7.7' can be reached from other machines: set server.api_key_file" in told.err


def test_a_port_that_is_none_is_refused() -> None:
    told = drpo("serve", "--port", "70000")
    assert (told.code, "port" in told.err) == (1, True)


def test_migrate_makes_a_database_that_can_be_served(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRPO_DATABASE__URL", empty_database_url)
    if empty_database_url.startswith("postgresql"):
        refused = drpo("prompts")
        assert (refused.code, refused.err) == (
            1,
            "drpo: the database schema is not up to date: run 'drpo migrate'\n",
        )
    for _ in range(2):
        told = drpo("migrate")
        assert (told.code, told.out) == (0, "the schema is up to date\n")
    assert drpo("prompts").code == 0


def test_another_kind_of_database_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_DATABASE__URL", "mysql://user:password@host/name")
    for command in ("migrate", "prompts"):
        told = drpo(command)
        assert (told.code, told.err.count("\n")) == (1, 1)
        assert "database.url" in told.err
        assert "password" not in told.err


def test_a_job_runs_in_the_command_s_own_service_and_leaves_a_version() -> None:
    told = drpo("optimize", MODEL, *SMALL, "--json")
    assert told.code == 0
    job = json.loads(told.out)
    assert (job["status"], job["target"], job["settings"]["depth"]) == ("succeeded", MODEL, 2)
    assert f"{job['id']}: succeeded" in told.err
    version = job["result"]["prompt_version"]

    listed = json.loads(drpo("prompts", MODEL, "--json").out)
    assert [item["id"] for item in listed] == [version]
    shown = drpo("prompts", MODEL)
    unwrapped = "".join(shown.out.split())
    assert (shown.code, version in unwrapped) == (0, True)
    assert "".join(job["best"]["system_prompt"].split()) in unwrapped

    pinned = drpo("chat", MODEL, "What is a leap year?", "--version", version)
    assert pinned.code == 0
    assert pinned.out.strip()
    assert pinned.err.strip() == f"prompt version: {version}"


def test_a_job_s_end_is_told_in_words(tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    lines = (json.dumps({"text": f"What is {number} times seven?"}) for number in range(20))
    queries.write_text("\n".join(lines), encoding="utf-8")
    told = drpo(
        "optimize", MODEL, *SMALL, "--queries", str(queries), "--seed-prompt", "Count.", "--label", "none"
    )
    assert told.code == 0
    assert "stored as pv_" in told.out
    assert "no label was moved" in told.out
    assert "best prompt:" in told.out
    assert told.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "there is no model 'none': use one of simulated-small"),
        ([MODEL, "--preset", "huge"], "400: preset: Input should be 'default', 'paper' or 'mini'"),
        ([MODEL, "--preset", "paper", "--set", "depth=0"], "settings.depth: "),
        ([MODEL, "--set", "colour=red"], "settings.colour: "),
        ([MODEL, "--set", "depth"], "--set 'depth': write name=value"),
        ([MODEL, "--budget-calls", "1"], "budget.calls is 1"),
        ([MODEL, "--budget-cost", "nan"], "nan and inf"),
        ([MODEL, "--label", "Not A Label"], "label: "),
    ],
)
def test_a_job_that_cannot_work_is_refused_in_one_line(arguments: list[str], message: str) -> None:
    told = drpo("optimize", *arguments)
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert told.err.startswith("drpo: ")
    assert message in told.err


def test_a_bank_is_built_and_a_prompt_is_searched_with_it(tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    lines = (
        {"query": "What is a fjord?", "answer": "Hard to say."},
        {"query": "I feel so alone since my divorce."},
    )
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n", encoding="utf-8")
    told = drpo("examples", str(file), "--preset", "mini", "--set", "seed=3", "--name", "mine", "--json")
    assert told.code == 0, told.err
    bank = json.loads(told.out)
    assert (bank["status"], bank["name"], bank["settings"]["seed"]) == ("succeeded", "mine", 3)
    assert f"{bank['id']}: succeeded, round 1 of 1" in told.err

    searched = drpo("optimize", MODEL, *SMALL, "--examples", bank["id"], "--json")
    assert searched.code == 0, searched.err
    stored = drpo("examples", str(file), "--no-refine")
    assert (stored.code, "set refine to true" in stored.err) == (1, True)


def test_a_bank_is_shown_example_by_example() -> None:
    told = drpo("examples", "--preset", "mini", "--budget-calls", "30")
    assert told.code == 0, told.err
    assert "ex-22" in told.out
    assert "use it: drpo optimize TARGET --examples ebj_" in told.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"query": "a"', "line 1: not JSON"),
        ('{"query": "a", "answer": "b"}\n["x"]', "line 2: write an object"),
        ("\n \n", "holds no examples"),
        ('{"question": "a"}', "examples"),
    ],
)
def test_examples_that_cannot_be_read_name_the_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(content, encoding="utf-8")
    told = drpo("examples", str(file))
    assert (told.code, told.err.count("\n"), message in told.err) == (1, 1, True), told.err


def test_queries_that_are_not_there_are_a_usage_error() -> None:
    told = drpo("optimize", MODEL, "--queries", "none.jsonl")
    assert told.code == 2
    assert "none.jsonl" in told.err


def test_queries_that_cannot_be_read_name_the_line(tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"text": "fine"}\n{"text": \n', encoding="utf-8")
    told = drpo("optimize", MODEL, "--queries", str(queries))
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "line 2" in told.err


def test_prompts_shows_every_model_and_what_serves_it(sqlite_url: str) -> None:
    version = stored_version(sqlite_url, "Be kind.")
    told = drpo("prompts")
    assert told.code == 0
    assert version in told.out
    assert told.out.count("none: served as it is") == 2
    listed = json.loads(drpo("prompts", "--json").out)
    assert {item["model"]: (item["version"] or {}).get("id") for item in listed} == {
        MODEL: version,
        "simulated-chat": None,
        "simulated-base": None,
    }


HOSTILE = "[bold]loud[/bold] [link=http://x]y[/] :boom: \x1b[2J\x1b]0;title\x07 \u202eback"
LITERAL = r"[bold]loud[/bold] [link=http://x]y[/] :boom: \x1b[2J\x1b]0;title\x07 \u202eback"


def test_a_prompt_with_markup_and_control_characters_is_printed_literally(sqlite_url: str) -> None:
    stored_version(sqlite_url, HOSTILE)
    told = drpo("prompts", MODEL)
    assert told.code == 0
    assert LITERAL in told.out
    assert "\x1b" not in told.out + told.err


def test_an_error_with_markup_and_control_characters_is_printed_literally() -> None:
    told = drpo("chat", HOSTILE, "Hello")
    assert told.code == 1
    assert "[bold]loud[/bold]" in told.err
    assert "\x1b" not in told.err


@pytest.mark.parametrize("model", ["none", "a/b?c#d", "../models", "%2e%2e"])
def test_prompts_of_an_unknown_model_are_refused_in_one_line(model: str) -> None:
    told = drpo("prompts", model)
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "Traceback" not in told.err


def test_chat_is_aligned_unless_it_is_told_otherwise(sqlite_url: str) -> None:
    version = stored_version(sqlite_url, "Answer in one sentence.")
    aligned = drpo("chat", MODEL, "What is a leap year?")
    unaligned = drpo("chat", MODEL, "What is a leap year?", "--unaligned")
    assert (aligned.code, unaligned.code) == (0, 0)
    assert aligned.err.strip() == f"prompt version: {version}"
    assert unaligned.err.strip() == "no prompt version: the model as it is"
    assert aligned.out.strip() != unaligned.out.strip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "Hello"], "drpo: 404: there is no model 'none': use one of simulated-small"),
        ([MODEL, "Hello", "--version", "pv_none"], "drpo: 404: "),
        ([MODEL, "Hello", "--url", "http://127.0.0.1:9"], "drpo: the service at http://127.0.0.1:9 cannot"),
        ([MODEL, "Hello", "--url", "127.0.0.1:9"], "drpo: --url '127.0.0.1:9' is no URL"),
    ],
)
def test_a_question_that_cannot_be_asked_is_one_clear_line(arguments: list[str], message: str) -> None:
    told = drpo("chat", *arguments)
    assert (told.code, told.err.count("\n"), told.out) == (1, 1, "")
    assert told.err.startswith(message)


def test_a_key_file_that_is_not_there_is_named() -> None:
    told = drpo("prompts", "--url", "http://127.0.0.1:9", "--api-key-file", "none.key")
    assert (told.code, told.err) == (1, "drpo: --api-key-file: cannot read none.key: FileNotFoundError\n")


def queue_a_job(sqlite_url: str) -> None:
    """A job that an earlier process has left behind."""

    async def queue() -> None:
        database = Database(sqlite_url)
        try:
            await OptimizationRepository(database).create(spec={"name": None}, target=MODEL)
        finally:
            await database.close()

    asyncio.run(queue())


def fences(sqlite_url: str) -> list[tuple[OptimizationStatus, int]]:
    async def read() -> list[tuple[OptimizationStatus, int]]:
        database = Database(sqlite_url)
        try:
            found = await OptimizationRepository(database).list(after=None, limit=10, status=None)
            return [(record.status, record.fence) for record in found]
        finally:
            await database.close()

    return asyncio.run(read())


def test_looking_at_prompts_and_asking_work_on_no_job_that_waits(sqlite_url: str) -> None:
    queue_a_job(sqlite_url)
    assert drpo("prompts").code == 0
    assert drpo("chat", MODEL, "What is a leap year?").code == 0
    assert fences(sqlite_url) == [(OptimizationStatus.QUEUED, 0)]


async def test_the_key_of_a_service_elsewhere_is_wanted_and_never_shown(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "drpo.key").write_text(f"{KEY}\n", encoding="utf-8")
    async with serve_service(sqlite_url, server={"api_key": KEY}) as served:
        at = ("--url", f"{served.url}/v1")
        refused = await asyncio.to_thread(drpo, "prompts", *at)
        passed = await asyncio.to_thread(drpo, "prompts", *at, "--api-key-file", "drpo.key")
        asked = await asyncio.to_thread(drpo, "chat", "tuned", "Hi", *at, "--api-key-file", "drpo.key")
    assert (refused.code, refused.err[:10]) == (1, "drpo: 401:")
    assert (passed.code, asked.code) == (0, 0)
    assert KEY not in refused.err + passed.out + asked.out + asked.err


async def test_a_configured_service_that_runs_is_used(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_service(sqlite_url) as served:
        monkeypatch.setenv("DRPO_SERVER__PORT", served.url.rpartition(":")[2])
        monkeypatch.setenv("DRPO_DATABASE__URL", f"sqlite:///{tmp_path / 'unused.db'}")
        told = await asyncio.to_thread(drpo, "prompts", "--json")
    assert [item["model"] for item in json.loads(told.out)] == ["tuned", "org/base"]
    assert not (tmp_path / "unused.db").exists()


def test_a_job_is_replayed_from_the_command_line_at_no_cost() -> None:
    ran = drpo("optimize", MODEL, *SMALL, "--json")
    source = json.loads(ran.out)
    told = drpo("replay", source["id"])
    assert (told.code, told.err) == (0, "")
    assert f"answered from the record of {source['id']} (100%), at no cost" in " ".join(told.out.split())
    again = drpo("replay", source["id"], "--set", "beam_width=1", "--json")
    job = json.loads(again.out)
    assert (again.code, job["settings"]["beam_width"], job["usage"]["calls"]) == (0, 1, 0)
    size = drpo("ledger", "--json")
    assert json.loads(size.out)["calls"] == source["usage"]["calls"]
    assert "calls on record" in drpo("ledger").out
