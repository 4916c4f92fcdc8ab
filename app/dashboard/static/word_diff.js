/* What changed between two texts, word by word: the longest common subsequence, on what is left between the
   beginnings and ends that they share. */

const MOST_CELLS = 25_000_000;

/* Parts in order: { kind: "same" | "added" | "removed", text }. */
export function wordDiff(before, after) {
  const old = split(before);
  const now = split(after);
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let tail = 0;
  while (tail < old.length - start && tail < now.length - start && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const middle = changed(old.slice(start, old.length - tail), now.slice(start, now.length - tail));
  return withoutIslands(
    merged([
      ...old.slice(0, start).map((text) => ({ kind: "same", text })),
      ...middle,
      ...old.slice(old.length - tail).map((text) => ({ kind: "same", text })),
    ]),
  );
}

/* What is the same within a line and shorter than the changes on both its sides (a space, an "and") is no help to
   readers: it is shown as removed and written anew with them. */
function withoutIslands(parts) {
  const blocks = [{ removed: "", added: "", same: "" }];
  for (const { kind, text } of parts) {
    if (kind !== "same" && blocks.at(-1).same) blocks.push({ removed: "", added: "", same: "" });
    blocks.at(-1)[kind] += text;
  }
  const size = ({ removed, added }) => Math.max(removed.length, added.length);
  const found = [];
  for (const block of blocks) {
    const last = found.at(-1);
    const island = last?.same ?? "";
    if (last && !island.includes("\n") && island.length <= size(last) && island.length <= size(block)) {
      found[found.length - 1] = { removed: last.removed + island + block.removed, added: last.added + island + block.added, same: block.same };
    } else found.push(block);
  }
  return found.flatMap((block) => ["removed", "added", "same"].filter((kind) => block[kind]).map((kind) => ({ kind, text: block[kind] })));
}

export function diffElement(before, after, tag = "div") {
  const made = document.createElement(tag);
  made.className = "text";
  for (const { kind, text } of wordDiff(before, after)) {
    if (kind === "same") made.append(text);
    else {
      const part = document.createElement(kind === "added" ? "ins" : "del");
      part.textContent = text;
      made.append(part);
    }
  }
  return made;
}

function split(text) {
  return text.match(/\s+|[\p{L}\p{N}_'’]+|[^\s\p{L}\p{N}_]/gu) ?? [];
}

function changed(old, now) {
  const all = (kind, words) => words.map((text) => ({ kind, text }));
  if (old.length * now.length > MOST_CELLS) return [...all("removed", old), ...all("added", now)];
  const width = now.length + 1;
  const lengths = new Uint16Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        old[i] === now[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const parts = [];
  let [i, j] = [0, 0];
  while (i < old.length && j < now.length) {
    if (old[i] === now[j]) {
      parts.push({ kind: "same", text: old[i] });
      i += 1;
      j += 1;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
      parts.push({ kind: "removed", text: old[i] });
      i += 1;
    } else {
      parts.push({ kind: "added", text: now[j] });
      j += 1;
    }
  }
  return [...parts, ...all("removed", old.slice(i)), ...all("added", now.slice(j))];
}

function merged(parts) {
  const found = [];
  for (const part of parts) {
    if (found.at(-1)?.kind === part.kind) found.at(-1).text += part.text;
    else found.push({ ...part });
  }
  return found;
}
