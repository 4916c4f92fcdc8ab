"""Whom ``drpo demo`` asks: simulated models alone, or a real vLLM with simulated models around it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.commands.progress import JobJson
from app.settings import Settings
from app.vllm_settings import VllmSettings
from optimizer.types import JsonObject

SIMULATED_TARGET: Final = "simulated-small"
_LATENCY_MS: Final = 25.0
_LONGEST_ANSWER: Final = 48
"""Tokens of vLLM's answers: two cores write a thousand tokens a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoModels:
    """The models of one demo, and what it says about them.

    Attributes:
        target: whose prompt is searched.
        settings: of the service.
        search: settings of the job beyond the demo's own.
        introduction: what is real.
        answers: how the last answers have to be read.
        answer: what they are called.
        longest_answer: of them, in tokens; None leaves that to the model.
    """

    target: str
    settings: Settings
    search: JsonObject
    introduction: str
    answers: str
    answer: str
    longest_answer: int | None = None

    def describe_calls(self, job: JobJson) -> str:
        """Whom the job has called, and what came of that."""
        usage, result = job["usage"], job["result"]
        said = f"It took {usage['calls']} calls to simulated models and {job['elapsed_seconds']:.1f} seconds."
        if self.settings.vllm.model is None:
            return said
        build = result["backends"]["target"].get("version", "of an unknown version")
        share = (result["prompt_cache"] or {}).get("share")
        cached = "" if share is None else f"; {share:.0%} of its prompt tokens came from its prefix cache"
        return (
            f"It took {usage['calls']} calls, {usage['by_role']['target']['calls']} of them to vLLM, and "
            f"{job['elapsed_seconds']:.1f} seconds. vLLM {build} answered{cached}."
        )


def simulated_models(folder: Path) -> DemoModels:
    """The simulated world with a little latency, on a store in ``folder``."""
    settings = Settings.model_validate(
        {
            **_store(folder),
            "backends": {
                "simulated": {
                    "kind": "simulated",
                    "simulated": {"latency_ms": _LATENCY_MS, "latency_jitter": 0.3},
                }
            },
        }
    )
    return DemoModels(
        target=SIMULATED_TARGET,
        settings=settings,
        search={},
        introduction=(
            "Everything below is real except the models: they are simulated, so no key, no GPU and no "
            "network is needed."
        ),
        answers=(
            "The simulated answers are filler in which the simulated judge finds strengths and weaknesses: "
            "read the numbers above, not the prose."
        ),
        answer="simulated answer",
    )


def models_on_vllm(folder: Path, vllm: VllmSettings) -> DemoModels:
    """A target on the server that ``vllm`` describes, all other roles simulated, a store in ``folder``."""
    critic: JsonObject = {"backend": "simulated", "model": "simulated-critic"}
    settings = Settings.model_validate(
        {
            **_store(folder),
            "backends": {"simulated": {"kind": "simulated"}},
            "roles": {"proposer": critic, "selector": critic, "judge": critic},
            "vllm": vllm.model_dump(),
        }
    )
    return DemoModels(
        target=vllm.served_name,
        settings=settings,
        search={"target": {"max_tokens": _LONGEST_ANSWER}},
        introduction=(
            f"The target {vllm.served_name} answers on a real vLLM, which this demo has started and will "
            "stop. The judge, the selector and the proposer are simulated, and a simulated judge cannot read "
            "what a real model says: the scores below mean nothing, nor does a prompt that wins or loses by "
            "them. A tiny model of random weights says nothing but babble anyway. What is shown is the "
            "plumbing."
        ),
        answers=(
            "Both answers are the model's own words, cut short; those of random weights are babble, however "
            "the scores above have come out."
        ),
        answer="answer of vLLM",
        longest_answer=_LONGEST_ANSWER,
    )


def _store(folder: Path) -> JsonObject:
    return {"database": {"url": f"sqlite+aiosqlite:///{folder / 'demo.db'}"}}
