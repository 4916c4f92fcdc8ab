from app.commands.prompts import show_models, show_versions
from tests.app.commands.screen import new_console, text_of

HOSTILE = "[red]x[/red] \x1b[2J"
LITERAL = r"[red]x[/red] \x1b[2J"


def version(**fields: object) -> dict[str, object]:
    gate = {"candidate_reward": 3.9, "difference": 0.32, "low": 0.16, "high": 0.48}
    return {
        "id": "pv_1",
        "number": 3,
        "created_at": 1_790_000_000.0,
        "labels": ["production", "canary"],
        "system_prompt": "Be brief.",
        "evidence": {"gate": gate},
        **fields,
    }


def models(*items: dict[str, object]) -> str:
    console = new_console(width=120)
    show_models(console, list(items))
    return text_of(console)


def versions(*items: dict[str, object]) -> str:
    console = new_console(width=120)
    show_versions(console, list(items))
    return text_of(console)


def test_each_model_has_a_line_with_its_version_and_its_evidence() -> None:
    told = models(
        {"model": "tuned", "label": "production", "version": version()},
        {"model": "plain", "label": "production", "version": None},
    )
    (tuned,) = [line for line in told.splitlines() if "tuned" in line]
    (plain,) = [line for line in told.splitlines() if "plain" in line]
    assert all(part in tuned for part in ("production", "pv_1", "3.90", "+0.32 [+0.16, +0.48]"))
    assert "none: served as it is" in plain
    assert "production" not in plain


def test_a_version_written_by_hand_has_no_evidence() -> None:
    told = models({"model": "tuned", "label": "production", "version": version(evidence={})})
    assert "+0.32" not in told


def test_a_difference_without_an_interval_is_shown_alone() -> None:
    gate = {"candidate_reward": 3.9, "difference": 0.32, "low": None, "high": None}
    assert "change +0.32\n" in versions(version(evidence={"gate": gate}))


def test_versions_are_shown_with_prompt_labels_and_time() -> None:
    told = versions(version(), version(id="pv_0", number=2, labels=[], evidence={"gate": None}))
    assert "pv_1  no. 3  2026-09-21 14:13 UTC  production, canary\n" in told
    assert "held-out reward 3.90, change +0.32 [+0.16, +0.48]\nBe brief.\n" in told
    assert "pv_0  no. 2" in told
    assert "no label\nheld-out reward -, change -\n" in told


def test_a_model_without_versions_says_how_to_get_one() -> None:
    assert versions() == "no versions yet: 'drpo optimize' makes them\n"


def test_names_and_prompts_cannot_use_the_terminal() -> None:
    told = models({"model": HOSTILE, "label": HOSTILE, "version": version(id=HOSTILE)})
    assert told.count(LITERAL) == 3
    assert versions(version(id=HOSTILE, labels=[HOSTILE], system_prompt=HOSTILE)).count(LITERAL) == 3
