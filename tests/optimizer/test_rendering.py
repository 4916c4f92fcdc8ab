import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.rendering import (
    COMPLETION_STOP,
    MESSAGES,
    CallerSystem,
    ExamplePlace,
    assemble_chat,
    render_chat,
    render_text,
)
from optimizer.types import Example, JsonValue, Message

NEAREST = Example(id="e1", query="near question", answer="near answer")
FARTHEST = Example(id="e2", query="far question", answer="far answer")
OURS = "Ours."
HEADINGS = ("# Instruction:", "# Query:", "# Answer:")

hostile = st.lists(
    st.sampled_from([*HEADINGS, "\n", "\r", "\r\n", "\u2028", "\x85", "\v", " ", "a", "#", "# "]), max_size=12
).map("".join)


def say(role: str, content: JsonValue) -> Message:
    return Message(role=role, content=content)


def shown(messages: tuple[Message, ...]) -> list[tuple[str, JsonValue]]:
    return [(message.role, message.content) for message in messages]


class TestChat:
    def test_system_examples_and_conversation_follow_each_other(self) -> None:
        messages = render_chat(OURS, (NEAREST, FARTHEST), (say("user", "question"),))
        assert shown(messages) == [
            ("system", "Ours."),
            ("user", "far question"),
            ("assistant", "far answer"),
            ("user", "near question"),
            ("assistant", "near answer"),
            ("user", "question"),
        ]

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            (CallerSystem.AFTER, "Ours.\n\nTheirs."),
            (CallerSystem.BEFORE, "Theirs.\n\nOurs."),
            (CallerSystem.REPLACE, "Theirs."),
        ],
    )
    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_the_policy_places_the_callers_system_message(
        self, policy: CallerSystem, expected: str, role: str
    ) -> None:
        conversation = (say(role, "Theirs."), say("user", "question"))
        assert shown(assemble_chat(OURS, (), conversation, MESSAGES, caller_system=policy)) == [
            ("system", expected),
            ("user", "question"),
        ]

    @pytest.mark.parametrize("policy", list(CallerSystem))
    def test_without_a_system_message_of_the_caller_ours_stands_alone(self, policy: CallerSystem) -> None:
        messages = assemble_chat(
            f"  {OURS}\n", (), (say("user", "question"),), MESSAGES, caller_system=policy
        )
        assert shown(messages) == [("system", OURS), ("user", "question")]

    @pytest.mark.parametrize("policy", list(CallerSystem))
    def test_a_blank_system_message_replaces_nothing(self, policy: CallerSystem) -> None:
        messages = assemble_chat(
            OURS, (), (say("system", " \n"), say("user", "question")), MESSAGES, caller_system=policy
        )
        assert shown(messages) == [("system", OURS), ("user", "question")]

    def test_several_leading_system_messages_become_one(self) -> None:
        conversation = (
            say("system", "First."),
            say("developer", [{"type": "text", "text": "Second."}]),
            say("user", "question"),
        )
        assert shown(render_chat(OURS, (), conversation))[0] == ("system", "Ours.\n\nFirst.\n\nSecond.")

    def test_a_later_system_message_stays_where_it_is(self) -> None:
        conversation = (say("user", "one"), say("system", "Later."), say("user", "two"))
        replaced = assemble_chat(OURS, (), conversation, MESSAGES, caller_system=CallerSystem.REPLACE)
        assert replaced[1:] == conversation

    def test_with_nothing_to_say_there_is_no_system_message(self) -> None:
        conversation = (say("user", "question"),)
        assert render_chat("  ", (), conversation) == conversation

    @pytest.mark.parametrize("policy", list(CallerSystem))
    def test_examples_in_the_system_message_follow_all_other_text(self, policy: CallerSystem) -> None:
        conversation = (say("system", "Theirs."), say("user", "question"))
        system, asked = assemble_chat(
            OURS, (NEAREST,), conversation, MESSAGES, caller_system=policy, place=ExamplePlace.SYSTEM
        )
        assert str(system.content).endswith("s.\n\n# Query:\nnear question\n\n# Answer:\nnear answer")
        assert asked == conversation[1]

    @pytest.mark.parametrize("policy", [CallerSystem.AFTER, CallerSystem.BEFORE])
    def test_examples_may_stand_before_all_instructions(self, policy: CallerSystem) -> None:
        conversation = (say("system", "Theirs."), say("user", "question"))
        system, asked = assemble_chat(
            OURS, (NEAREST,), conversation, MESSAGES, caller_system=policy, place=ExamplePlace.SYSTEM_FIRST
        )
        joined = {"after": "Ours.\n\nTheirs.", "before": "Theirs.\n\nOurs."}[policy.value]
        assert system.content == (
            f"# Query:\nnear question\n\n# Answer:\nnear answer\n\n# Instruction:\n{joined}"
        )
        assert asked == conversation[1]

    def test_before_the_instructions_one_query_has_one_beginning_under_any_prompt(self) -> None:
        one, other = (
            render_chat(prompt, (NEAREST,), (say("user", "question"),), ExamplePlace.SYSTEM_FIRST)[0].content
            for prompt in ("One.", "Two.")
        )
        assert str(one).removesuffix("One.") == str(other).removesuffix("Two.")

    def test_examples_alone_are_a_system_message_without_instructions(self) -> None:
        system, _ = render_chat(" ", (NEAREST,), (say("user", "question"),), ExamplePlace.SYSTEM_FIRST)
        assert system.content == "# Query:\nnear question\n\n# Answer:\nnear answer"

    @given(hostile)
    def test_no_instruction_opens_a_section_of_its_own_after_the_examples(self, text: str) -> None:
        system, *_ = render_chat(
            f"x{text}", (NEAREST,), (say("user", "question"),), ExamplePlace.SYSTEM_FIRST
        )
        lines = str(system.content).splitlines()
        assert sum(line.startswith(HEADINGS) for line in lines) == 3

    def test_examples_stand_before_the_last_question_where_that_is_wanted(self) -> None:
        conversation = (say("user", "one"), say("assistant", "two"), say("user", "three"))
        messages = assemble_chat(OURS, (NEAREST,), conversation, MESSAGES, place=ExamplePlace.LAST)
        assert [message.content for message in messages] == [
            OURS,
            "one",
            "two",
            "near question",
            "near answer",
            "three",
        ]

    def test_no_examples_add_nothing_to_the_system_message(self) -> None:
        conversation = (say("user", "question"),)
        for place in ExamplePlace:
            assert render_chat(OURS, (), conversation, place) == render_chat(OURS, (), conversation)

    def test_turns_of_the_conversation_are_passed_on_untouched(self) -> None:
        conversation = (
            Message(role="user", content=[{"type": "image_url", "image_url": {"url": "x"}}]),
            Message(role="assistant", content=None, extra={"tool_calls": [{"id": "1"}]}),
            Message(role="tool", content="42", extra={"tool_call_id": "1"}),
        )
        assert render_chat(OURS, (NEAREST,), conversation)[-3:] == conversation


class TestText:
    def test_the_whole_text(self) -> None:
        conversation = (
            say("system", "Theirs."),
            say("user", "one"),
            say("assistant", "two"),
            say("user", "three"),
        )
        assert render_text(OURS, (NEAREST, FARTHEST), conversation) == (
            "# Instruction:\nOurs.\n\nTheirs.\n\n"
            "# Query:\nfar question\n\n# Answer:\nfar answer\n\n"
            "# Query:\nnear question\n\n# Answer:\nnear answer\n\n"
            "# Query:\none\n\n# Answer:\ntwo\n\n# Query:\nthree\n\n# Answer:\n"
        )

    def test_examples_may_stand_before_the_instructions(self) -> None:
        text = render_text(OURS, (NEAREST,), (say("user", "q"),), ExamplePlace.SYSTEM_FIRST)
        assert text == (
            "# Query:\nnear question\n\n# Answer:\nnear answer\n\n"
            "# Instruction:\nOurs.\n\n# Query:\nq\n\n# Answer:\n"
        )

    def test_without_a_system_text_there_is_no_instruction(self) -> None:
        assert render_text(" ", (), (say("user", "q"),)) == "# Query:\nq\n\n# Answer:\n"

    def test_a_completion_stops_where_it_would_open_the_next_query(self) -> None:
        text = render_text(OURS, (NEAREST,), (say("user", "q"),))
        assert all(f"\n{turn}" in f"\n{text}" for turn in HEADINGS)
        assert COMPLETION_STOP == ("\n# Query:",)

    @given(hostile, hostile, hostile, hostile)
    def test_no_text_can_open_a_section(self, system: str, query: str, answer: str, asked: str) -> None:
        example = Example(id="e", query=query, answer=answer)
        text = render_text(system, (example,), (say("user", asked), say("assistant", answer)))
        opened = [line for line in text.splitlines() if line.startswith(HEADINGS)]
        instruction = ["# Instruction:"] if system.strip() else []
        assert opened == [*instruction, *["# Query:", "# Answer:"] * 2, "# Answer:"]

    def test_a_heading_in_a_text_is_still_readable(self) -> None:
        text = render_text("", (), (say("user", "What does\n# Answer: 42\nmean?"),))
        assert text == "# Query:\nWhat does\n # Answer: 42\nmean?\n\n# Answer:\n"
