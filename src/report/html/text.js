// The chosen text as a heat map of its tokens. One token is in the tab order at a time; arrows go on from it.

const SCALES = {
  surprisal: { unit: "surprisal, in nats", words: "how much the model wondered at each token" },
  entropy: { unit: "entropy, in nats", words: "how unsure the model was before each token" },
  conflict: { unit: "−ln Z, in nats", words: "how much of what the model wanted was forbidden at each token" },
};

class TextView {
  constructor(run, selection) {
    this.run = run;
    this.selection = selection;
    this.scale = "surprisal";
    this.lineage = null;
    this.spans = new Map();
    const text = byId("text");
    text.addEventListener("click", (event) => {
      const token = event.target.closest(".token");
      if (token) this.#choose(Number(token.dataset.index));
    });
    text.addEventListener("keydown", (event) => this.#key(event));
    byId("scales").addEventListener("change", (event) => {
      this.scale = event.target.value;
      this.#fill();
      this.#legend();
    });
    this.#legend();
    selection.addEventListener("change", () => this.show());
  }

  /** Shows the chosen text, made anew only where it is another one. */
  show() {
    if (this.selection.lineage !== this.lineage) this.#fill();
    this.current?.setAttribute("aria-selected", "false");
    if (this.current) this.current.tabIndex = -1;
    this.current = this.spans.get(this.selection.token) ?? null;
    if (!this.current) return;
    this.current.setAttribute("aria-selected", "true");
    this.current.tabIndex = 0;
    // Within its box alone: the page does not jump.
    const box = byId("text");
    const [top, bottom] = [this.current.offsetTop - box.offsetTop, this.current.offsetTop - box.offsetTop + this.current.offsetHeight];
    if (top < box.scrollTop) box.scrollTop = top - 20;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight + 20;
  }

  #fill() {
    const { run } = this;
    this.lineage = this.selection.lineage;
    this.spans.clear();
    const fragment = document.createDocumentFragment();
    this.path = this.lineage ? run.path(this.lineage.last) : [];
    for (const piece of run.pieces(this.path)) {
      const span = this.#token(piece);
      this.spans.set(piece.index, span);
      fragment.append(span);
    }
    byId("text").replaceChildren(fragment);
    this.#head();
    if (this.selection.token !== null) {
      this.current = this.spans.get(this.selection.token) ?? null;
      this.current?.setAttribute("aria-selected", "true");
      if (this.current) this.current.tabIndex = 0;
    }
  }

  #token({ index, text, part }) {
    const { run } = this;
    const classes = ["token", `heat-${heat(run.value(this.scale, index))}`];
    if (run.conflict(index) > CONFLICT) classes.push("conflict");
    if (run.isForced(index)) classes.push("forced");
    if (part) classes.push("part");
    const ends = text === "" && !part;
    const label = `${tokenLabel(run.tokenText(index))}, surprisal ${inNats(run.surprisal(index))} nats`;
    const span = el("span", { class: classes.join(" "), role: "option", "aria-selected": "false", tabindex: -1, "aria-label": label });
    span.dataset.index = index;
    // A line break is seen and broken at; the end is a sign.
    const lines = safe(text).split("\n");
    lines.forEach((line, at) => {
      if (at > 0) span.append(el("span", { class: "ghost" }, "↵"), "\n");
      span.append(line);
    });
    if (ends) span.append(el("span", { class: "ghost" }, "■"));
    return span;
  }

  #head() {
    const { run, lineage } = this;
    if (!lineage) {
      byId("text-title").textContent = "No text";
      byId("text-note").textContent = "";
      return;
    }
    byId("text-title").textContent = lineage.alive ? `Text of particle ${lineage.places[0]}` : "A lost text";
    const sums = run.logProbs(lineage.last);
    const parts = [count(this.path.length, "token")];
    parts.push(lineage.alive ? `weight ${share(lineage.weight)}` : fateInWords(run.fate(lineage)));
    parts.push(`log-probability ${inNats(sums.raw)} raw`, `${inNats(sums.constrained)} constrained`);
    const evidence = run.data.evidence_number === null ? null : run.steps.at(-1)?.log_evidence;
    if (lineage.alive && evidence !== null && evidence !== undefined) parts.push(`${inNats(sums.sampler - evidence)} posterior`);
    byId("text-note").textContent = parts.join(" · ");
  }

  #legend() {
    const labels = ["< 0.1", "< 0.5", "< 1", "< 2", "≥ 2"];
    const steps = labels.map((label, step) => el("span", { class: `heat-${step}` }, label));
    byId("legend").replaceChildren(
      el("span", { class: "steps", title: SCALES[this.scale].words }, el("b", {}, SCALES[this.scale].unit), ...steps),
      el("span", {}, el("span", { class: "conflict" }, "underlined"), ": mostly forbidden"),
      el("span", {}, el("span", { class: "forced" }, "grey"), ": nothing else was allowed"),
    );
  }

  #choose(index) {
    this.selection.choose(this.lineage, index, this.path);
    this.spans.get(index)?.focus({ preventScroll: true });
  }

  #key(event) {
    const at = this.path.indexOf(Number(event.target.closest(".token")?.dataset.index));
    if (at < 0) return;
    const vertical = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const to = vertical !== 0 ? this.#lineAway(at, vertical) : moved(event.key, at, this.path.length, { next: "ArrowRight", back: "ArrowLeft" });
    if (to === null) return;
    event.preventDefault();
    this.#choose(this.path[to]);
  }

  /** The token under or above this one: the nearest on the next line that has any. */
  #lineAway(at, direction) {
    const rect = (position) => this.spans.get(this.path[position]).getClientRects()[0];
    const from = rect(at);
    let [best, distance, line] = [null, Infinity, null];
    for (let to = at + direction; to >= 0 && to < this.path.length; to += direction) {
      const there = rect(to);
      if (!there || Math.abs(there.top - from.top) < there.height / 2) continue;
      line ??= there.top;
      if (Math.abs(there.top - line) > there.height / 2) break;
      const away = Math.abs(there.left + there.width / 2 - from.left - from.width / 2);
      if (away < distance) [best, distance] = [to, away];
    }
    return best;
  }
}
