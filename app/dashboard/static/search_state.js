/* What a search has come to: what the service knows of it at a glance, and the events since. Nothing here draws. */

const HELD_OUT_ROUND = -1;

export class SearchState {
  candidates = new Map();
  unknown = new Set();

  constructor(tree) {
    this.seq = tree.seq;
    this.phase = tree.phase;
    this.leader = tree.leader_id;
    this.rounds = tree.rounds.map((one) => ({ round: one.round, best: one.best_candidate_id, reward: one.reward, spend: one.spend }));
    this.gate = tree.gate;
    this.judge = tree.judge;
    this.total = 0;
    this.add(tree);
  }

  /* Candidates as the service knew them at the event tree.seq; those that events have changed since stay. */
  add(tree) {
    this.total = Math.max(this.total, tree.candidates);
    for (const node of tree.data) {
      const one = this.candidates.get(node.id);
      if (one && one.at > tree.seq) continue;
      this.unknown.delete(node.id);
      const drop = node.drop ?? {};
      this.candidates.set(node.id, {
        id: node.id,
        at: tree.seq,
        parent: node.parent_id,
        round: node.round,
        reward: node.reward,
        judged: node.evaluations,
        scored: node.evaluations - node.unscored,
        sum: (node.mean ?? 0) * (node.evaluations - node.unscored),
        dropped: node.dropped_in_round === null ? null : { round: node.dropped_in_round, reason: drop.reason ?? null, leader: drop.leader_id, pairs: drop.pairs, difference: drop.difference },
      });
    }
  }

  apply(event) {
    this.seq = event.seq;
    this[`_${event.type}`]?.(event);
  }

  /* From a candidate up to the seed prompt. */
  lineage(id) {
    const found = [];
    for (let at = this.candidates.get(id); at && !found.includes(at); at = this.candidates.get(at.parent)) found.push(at);
    return found;
  }

  /* Most promising first: what the search thinks where it has said so, else the mean of what was measured. */
  ranked() {
    const worth = (one) => one.reward ?? mean(one) ?? -Infinity;
    return [...this.candidates.values()].sort(
      (a, b) => (b.id === this.leader) - (a.id === this.leader) || worth(b) - worth(a) || inOrder(a, b),
    );
  }

  /* One whom nothing is known of yet but for an event is asked for; until then it counts from zero. */
  _change(event, id, changed) {
    let one = this.candidates.get(id);
    if (!one) {
      one = { id, at: 0, parent: null, round: 0, reward: null, dropped: null, sum: 0, scored: 0, judged: 0 };
      this.candidates.set(id, one);
      this.unknown.add(id);
    }
    if (event.seq <= one.at) return;
    one.at = event.seq;
    Object.assign(one, typeof changed === "function" ? changed(one) : changed);
  }

  _search_started(event) {
    this.phase = "search";
    this.leader ??= event.candidate_id;
    this._change(event, event.candidate_id, {});
  }

  _candidate_proposed(event) {
    this.total += 1;
    this._change(event, event.candidate_id, { parent: event.parent_id, round: event.round });
    this.unknown.delete(event.candidate_id);
  }

  _candidate_dropped(event) {
    const { round, reason, leader_id: leader, pairs, difference } = event;
    this._change(event, event.candidate_id, { dropped: { round, reason, leader, pairs, difference } });
  }

  _evaluation_finished(event) {
    if (event.round === HELD_OUT_ROUND) return;
    const { reward } = event;
    this._change(event, event.candidate_id, (one) => ({
      judged: one.judged + 1,
      scored: one.scored + (reward !== null),
      sum: one.sum + (reward ?? 0),
    }));
  }

  _round_finished(event) {
    const { round, ranking, spend } = event;
    for (const { candidate_id: id, reward, kept } of ranking) {
      this._change(event, id, (one) => ({
        reward: reward ?? one.reward,
        dropped: kept ? null : (one.dropped ?? { round, reason: null }),
      }));
    }
    const best = ranking[0];
    if (best) this.leader = best.candidate_id;
    this.rounds.push({ round, best: best?.candidate_id ?? null, reward: best?.reward ?? null, spend: spend ?? null });
  }

  _search_finished({ best_candidate_id }) {
    this.leader = best_candidate_id ?? this.leader;
  }

  _gate_started() {
    this.phase = "gate";
  }

  _judge_checked(event) {
    this.judge = event;
  }

  _gate_finished(event) {
    this.gate = event;
  }

  _optimization_finished() {
    this.phase = "finished";
  }
}

/* In the order in which a search has written them. */
export function inOrder(a, b) {
  return a.round - b.round || a.id.length - b.id.length || (a.id < b.id ? -1 : 1);
}

export function mean(one) {
  return one.scored ? one.sum / one.scored : null;
}

/* What became of a candidate, in words. */
export function fate(one, { leader, phase }) {
  if (one.id === leader) return { text: "leads", kind: "good" };
  if (!one.dropped) {
    if (!one.judged) return { text: "not tried", kind: "" };
    return phase === "search" ? { text: "in the race", kind: "running" } : { text: "was never dropped", kind: "running" };
  }
  const { round, reason, leader: beater, pairs, difference } = one.dropped;
  const gap = typeof difference === "number" ? `, ${difference.toFixed(2)} on ${pairs} ${pairs === 1 ? "query" : "queries"}` : "";
  return { text: `dropped in round ${round}`, kind: "", why: reason ? `${reason}${beater ? ` against ${beater}` : ""}${gap}` : null };
}
