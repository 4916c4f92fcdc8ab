import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dashboard.side_by_side import Line, Piece, Row, Side, side_by_side
from app.text_diff import line_diff, word_diff
from optimizer.types import JsonObject
from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import BASE_MODEL, EXAMPLES, MODEL, add_version, move_label, open_service
from tests.app.dashboard.browsing import SETTINGS_KEY, proof_for, sign_in
from tests.app.dashboard.test_pages import HOSTILE, check_page

PROMPTS = "/dashboard/prompts"
OURS = f"{PROMPTS}/{MODEL}"
KEYED = {"api_key": SETTINGS_KEY}


async def test_every_page_of_prompts_shows_hostile_text_as_text(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        prompts = service.resources.prompts
        examples: list[JsonObject] = [{"id": "e", "query": HOSTILE, "answer": HOSTILE, "kind": HOSTILE}]
        first = await add_version(prompts, HOSTILE, examples=examples, sampling={"top_p": 0.5})
        second = await add_version(prompts, f"{HOSTILE} twice", label=None)
        for path in (
            PROMPTS,
            f"{OURS}/versions",
            f"{OURS}/versions/{first.id}",
            f"{OURS}/versions/2",
            f"{OURS}/diff?before=production&after={second.id}",
            f"{OURS}/new",
        ):
            answer = await service.client.get(path)
            assert answer.status_code == 200, path
            check_page(answer)
        shown = await service.client.get(f"{OURS}/versions/{first.id}")
        assert shown.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


async def test_versions_are_shown_in_pages(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        for number in range(30):
            await add_version(service.resources.prompts, f"prompt {number + 1}.", label=None)
        first = (await service.client.get(f"{OURS}/versions")).text
        assert "prompt 30." in first
        assert "prompt 5." not in first
        older = re.search(r'href="([^"]+)" rel="next"', first)
        assert older is not None
        second = (await service.client.get(unescape(older[1]))).text
        assert "prompt 5." in second
        assert "prompt 30." not in second
        assert 'rel="next"' not in second
        none = (await service.client.get(f"{OURS}/versions?before=1")).text
        assert "No older versions" in none


async def test_a_version_says_what_it_is_and_where_labels_point(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        prompts = service.resources.prompts
        first = await add_version(prompts, "Be kind.", examples=EXAMPLES, sampling={"temperature": 0.25})
        second = await add_version(prompts, "Be brief.", label="candidate")
        shown = (await service.client.get(f"{OURS}/versions/{first.id}")).text
        assert "How do I boil an egg?" in shown
        assert "0.25" in shown
        assert "Compare with production" not in shown
        assert f'value="candidate" data-version="{second.id}"' in shown
        other = (await service.client.get(f"{OURS}/versions/{second.id}")).text
        assert f"{OURS}/diff?before=production&amp;after={second.id}" in other
        assert "It shows none" in other
        await move_label(prompts, second)
        listed = (await service.client.get(f"{OURS}/versions")).text
        assert re.search(f'data-undo="production"[^>]*data-move="3" data-back-to="{first.id}"', listed)


async def test_versions_stand_beside_each_other_with_the_words_that_differ(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        prompts = service.resources.prompts
        await add_version(prompts, "Be kind.\nAnswer first.", examples=EXAMPLES[:1])
        changed = [{**EXAMPLES[0], "answer": "Nine minutes."}, EXAMPLES[1]]
        await add_version(prompts, "Be brief.\nAnswer first.\nStop.", examples=changed, label=None)
        shown = (await service.client.get(f"{OURS}/diff?before=1&after=2")).text
        assert "Be <del>kind</del>." in shown
        assert "Be <ins>brief</ins>." in shown
        assert "1 added, 0 removed, 1 with another answer, 0 the same" in shown
        assert "<del>Eight</del><ins>Nine</ins> minutes." in shown
        same = (await service.client.get(f"{OURS}/diff?before=1&after=production")).text
        assert "Both are the same version" in same


async def test_models_with_slashes_and_without_versions_have_pages(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        listed = (await service.client.get(PROMPTS)).text
        assert f'href="{PROMPTS}/{BASE_MODEL}/versions"' in listed
        assert "answered as it is" in listed
        shown = await service.client.get(f"{PROMPTS}/{BASE_MODEL}/versions")
        assert "No versions yet" in shown.text
        assert (await service.client.get(f"{PROMPTS}/{BASE_MODEL}/new")).status_code == 200
        for path in ("lost/versions", "lost/new", f"{MODEL}/versions/pv_x", f"{MODEL}/diff?before=8"):
            missing = await service.client.get(f"{PROMPTS}/{path}")
            assert missing.status_code == 404, path
            check_page(missing)


async def test_keys_see_the_prompts_of_their_models_alone(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        await add_version(service.resources.prompts, "A secret.")
        keys = service.resources.access.keys
        serving, _ = await add_key(keys, "serve")
        await sign_in(service.client, serving)
        refused = await service.client.get(PROMPTS)
        assert refused.status_code == 403
        assert f'href="{PROMPTS}"' not in refused.text
        limited, record = await add_key(keys, "optimize")
        await keys.change(record.id, {"models": [BASE_MODEL]}, actor="test")
        await sign_in(service.client, limited)
        assert "A secret." not in (await service.client.get(PROMPTS)).text
        for path in ("versions", "versions/1", "diff?before=1&after=1", "new"):
            assert (await service.client.get(f"{OURS}/{path}")).status_code == 404, path


async def test_what_the_forms_send_needs_the_proof_of_the_page(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        version = await add_version(service.resources.prompts, label=None)
        await sign_in(service.client)
        label, body = f"/v1/prompts/{MODEL}/labels/production", {"version": version.id, "reason": "better"}
        proof = await proof_for(service.client)
        for headers, status in (({}, 403), (proof | {"x-csrf-token": "0" * 64}, 403), (proof, 200)):
            moved = await service.client.put(label, json=body, headers=headers)
            assert moved.status_code == status


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_lines_that_differ_stand_beside_each_other_as_far_as_they_go(end: str) -> None:
    rows = rows_of(f"a\nb c\n\nd{end}", f"a\nb x\ny{end}")
    assert [(plain(row.before), plain(row.after), row.is_same) for row in rows] == [
        ("1 a", "1 a", True),
        ("2 b c", "2 b x", False),
        ("3 ", "3 y", False),
        ("4 d", None, False),
    ]
    assert rows[1].before is not None
    assert [piece.change for piece in rows[1].before.pieces] == ["same", "removed"]


TEXTS = st.text(alphabet="ab .\n\r\u2028", max_size=30)


@given(TEXTS, TEXTS)
def test_rows_have_every_line_of_both_texts_in_order(before: str, after: str) -> None:
    rows = rows_of(before, after)
    for sides, text in (([row.before for row in rows], before), ([row.after for row in rows], after)):
        found = [plain(side) for side in sides if side is not None]
        assert found == [f"{number} {line}" for number, line in enumerate(text.splitlines(), start=1)]


def rows_of(before: str, after: str) -> list[Row]:
    """The rows of two texts, as the API would compare them."""
    words = [Piece(change=piece.change, text=piece.text) for piece in word_diff(before, after)]
    lines = [
        Line(change=line.change, before=line.before, after=line.after) for line in line_diff(before, after)
    ]
    return side_by_side(words, lines)


def plain(side: Side | None) -> str | None:
    """A line with its number."""
    return None if side is None else f"{side.number} {''.join(piece.text for piece in side.pieces)}"
