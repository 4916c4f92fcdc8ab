"""A bank's job on the terminal."""

import asyncio
import os
import signal

import httpx

from app.commands.api_client import ApiClient
from app.commands.examples import build_bank, describe_bank, print_bank, render_bank
from app.commands.progress import JobJson
from app.example_banks.schemas import BankExample, ExampleBankObject, RefinementProgress
from app.jobs.schemas import BudgetInput, OptimizationError, SpendReport
from optimizer.examples.config import REFINEMENT_PRESETS
from tests.app.commands.screen import new_console, shown, text_of

EXAMPLE = BankExample(
    id="ex-001",
    query="[red]Why?\x1b[2J",
    kind=None,
    given_answer="so",
    answer="because",
    first_reward=2.25,
    best_reward=4.0,
    judged=5,
    end="rounds",
)


def bank_json(**fields: object) -> JobJson:
    bank = ExampleBankObject(
        id="ebj_1",
        name=None,
        status="running",
        bank_id=None,
        refine=True,
        preset="mini",
        settings=REFINEMENT_PRESETS["mini"],
        budget=BudgetInput(),
        created_at=0,
        started_at=0,
        finished_at=None,
        elapsed_seconds=61,
        cancel_requested=False,
        error=None,
        progress=RefinementProgress(
            phase="refining", round=1, rounds_left=2, answers=9, unscored=1, mean_first=2.5, mean_best=3.25
        ),
        usage=SpendReport(calls=12, prompt_tokens=900, completion_tokens=100),
        calls_max=40,
        end=None,
        models={},
        examples=[EXAMPLE],
    )
    return {**bank.model_dump(mode="json"), **fields}


def test_a_bank_s_job_is_shown_with_its_rewards_and_its_spend() -> None:
    text = shown(render_bank(bank_json()))
    for part in ("ebj_1, preset mini", "refining", "1 of 3", "2.50 -> 3.25", "9 answers, 1 unscored"):
        assert part in text
    assert "12 of at most 40 calls, 1,000 tokens, 1 min 1 s" in text
    assert describe_bank(bank_json()) == "ebj_1: refining, round 1 of 3, mean reward 2.50 -> 3.25"
    waiting = {
        **bank_json()["progress"],
        "phase": "queued",
        "round": None,
        "mean_first": None,
        "mean_best": None,
    }
    assert describe_bank(bank_json(status="queued", progress=waiting)) == (
        "ebj_1: queued, round -, mean reward - -> -"
    )
    assert "cancelling" in describe_bank(bank_json(cancel_requested=True))
    away = {"message": "backend local answered 503"}
    assert "paused: backend local answered 503" in describe_bank(bank_json(status="paused", paused=away))


def test_a_finished_bank_is_shown_example_by_example_and_literally() -> None:
    console = new_console(width=120)
    print_bank(console, bank_json(status="succeeded", bank_id="eb_1"))
    text = text_of(console)
    assert "[red]Why?" in text
    assert "\x1b" not in text
    assert "2.25" in text
    assert "--examples ebj_1" in text


def test_another_end_is_told_in_words() -> None:
    console = new_console()
    error = OptimizationError(code="invalid_input", message="no example has an answer")
    print_bank(console, bank_json(status="failed", error=error.model_dump()))
    print_bank(console, bank_json(status="cancelled"))
    text = text_of(console)
    assert "failed: no example has an answer" in text
    assert "cancelled after 12 of at most 40 calls" in text


async def test_ctrl_c_cancels_the_bank() -> None:
    asked: list[str] = []
    state = {"now": bank_json()}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        if request.url.path.endswith("/cancel"):
            state["now"] = bank_json(status="cancelled")
        elif request.method == "GET" and len(asked) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return httpx.Response(202 if request.method == "POST" else 200, json=state["now"])

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://drpo")
    async with asyncio.timeout(30), http:
        ended = await build_bank(ApiClient(http), {}, new_console())
    assert ended["status"] == "cancelled"
    assert asked[:2] == ["POST /v1/example-banks", "GET /v1/example-banks/ebj_1"]
    assert asked.count("POST /v1/example-banks/ebj_1/cancel") == 1
