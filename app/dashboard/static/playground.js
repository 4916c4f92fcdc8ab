/* The playground: one question to two or three versions at once, and a vote on their answers. */

import { Answer } from "./answer.js";
import { get, post } from "./api.js";
import { element } from "./elements.js";
import { notifyError } from "./notices.js";

const form = document.getElementById("ask");
const places = document.getElementById("answers");
const vote = document.getElementById("vote");
const judge = document.getElementById("judge");
let asking = null;
let answers = [];
let question = "";

function shuffled(items) {
  const left = [...items];
  const found = [];
  while (left.length) found.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  return found;
}

const sidesOf = (place) => [...place.querySelectorAll("select[name=side]")];
const numberOf = (select) => select.parentElement.querySelector("input[name=number]");

/* What a side has chosen; a version that is named by its number is looked up. */
async function chosen(model, select) {
  if (select.value !== "number") return { value: select.value, title: select.selectedOptions[0].textContent };
  const path = model.split("/").map(encodeURIComponent).join("/");
  const { id, number } = await get(`/v1/prompts/${path}/versions/${encodeURIComponent(numberOf(select).value)}`);
  return { value: `version:${id}`, title: `Version ${number}` };
}

function offerNumber(select) {
  const input = numberOf(select);
  input.hidden = select.value !== "number";
  input.disabled = input.hidden;
}

async function ask() {
  asking?.abort();
  const round = new AbortController();
  asking = round;
  const fields = new FormData(form);
  const isBlind = fields.get("blind") !== null;
  const { model } = form.dataset;
  const problem = form.querySelector(".problem");
  problem.textContent = "";
  let sides;
  try {
    sides = await Promise.all(sidesOf(form).filter((select) => select.value).map((select) => chosen(model, select)));
  } catch (error) {
    problem.textContent = error.message;
    return;
  }
  if (asking !== round) return;
  places.replaceChildren();
  vote.hidden = true;
  answers = (isBlind ? shuffled(sides) : sides).map(
    ({ value, title }, index) => {
      const answer = new Answer(index + 1, value, title, isBlind);
      places.append(answer.card);
      return answer;
    },
  );
  document.getElementById("stop").hidden = false;
  question = fields.get("question");
  judge.hidden = true;
  await Promise.all(answers.map((answer) => answer.run(model, question, isBlind, round.signal)));
  if (asking !== round) return;
  asking = null;
  document.getElementById("stop").hidden = true;
  judge.hidden = !answers.some((answer) => answer.id && answer.text.textContent);
  judge.disabled = false;
  offerVote();
}

/* All answers are judged at once, on the same criteria, and without a word on who gave them. */
async function score() {
  const judged = answers.filter((answer) => answer.id && answer.text.textContent);
  judge.disabled = true;
  for (const answer of judged) answer.verdict.replaceChildren(element("p", { class: "muted" }, "The judge reads it."));
  try {
    const found = await post("/v1/evaluations", {
      query: question,
      answers: judged.map((answer) => answer.text.textContent),
    });
    for (const verdict of found.data) judged[verdict.index].showVerdict(verdict, found.judge);
  } catch (error) {
    for (const answer of judged) answer.verdict.replaceChildren();
    judge.disabled = false;
    notifyError(error);
  }
}

function offerVote() {
  const rated = answers.filter((answer) => answer.id);
  if (rated.length < 2) {
    for (const answer of rated) if (answer.name.textContent !== answer.title) answer.reveal();
    return;
  }
  const buttons = rated.map((answer) => voteButton(answer.number, `Answer ${answer.number}`));
  document.getElementById("votes").replaceChildren(...buttons, voteButton(0, "Neither"));
  document.getElementById("voted").textContent =
    "Or press its number. Your vote is kept as feedback on these answers.";
  vote.hidden = false;
}

function voteButton(number, text) {
  return element(
    "button",
    { type: "button", "data-vote": String(number), onclick: () => give(number) },
    `${text} `,
    element("kbd", {}, String(number)),
  );
}

/* The better answer is good and the others are bad; where none is, all are neither. */
async function give(number) {
  const rated = answers.filter((answer) => answer.id);
  const buttons = document.querySelectorAll("[data-vote]");
  for (const button of buttons) button.disabled = true;
  try {
    await Promise.all(
      rated.map((answer) =>
        post("/v1/feedback", {
          response_id: answer.id,
          score: number === 0 ? 0 : answer.number === number ? 1 : -1,
          comment: "compared in the playground",
        }),
      ),
    );
  } catch (error) {
    for (const button of buttons) button.disabled = false;
    notifyError(error);
    return;
  }
  for (const answer of rated) {
    if (answer.name.textContent !== answer.title) answer.reveal();
    answer.card.classList.toggle("preferred", answer.number === number);
  }
  const best = rated.find((answer) => answer.number === number);
  document.getElementById("voted").textContent = best
    ? `Thank you: ${best.title} was better. The vote is kept.`
    : "Thank you: neither was better. The vote is kept.";
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
for (const select of form ? sidesOf(form) : []) {
  select.addEventListener("change", () => offerNumber(select));
  offerNumber(select);
}
form?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
judge?.addEventListener("click", score);
document.getElementById("stop")?.addEventListener("click", () => asking?.abort());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const button = vote?.hidden ? null : document.querySelector(`[data-vote="${CSS.escape(event.key)}"]`);
  if (button && !button.disabled) button.click();
});
