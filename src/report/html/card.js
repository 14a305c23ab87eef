// The card of the chosen token: what the model thought, what the constraint left of it, what else there was.

class Card {
  constructor(run, selection) {
    this.run = run;
    this.selection = selection;
    selection.addEventListener("change", () => this.show());
  }

  show() {
    const { token } = this.selection;
    const card = byId("card");
    if (token === null) {
      card.replaceChildren(el("p", { class: "soft" }, "Choose a token of the text to see what was known when it was drawn."));
      return;
    }
    card.replaceChildren(this.#head(token), this.#model(token), this.#constraint(token), this.#others(token) ?? "");
    card.scrollTop = 0;
  }

  #head(index) {
    const { tokens } = this.run;
    const at = this.selection.lineage ? this.run.path(this.selection.lineage.last).indexOf(index) : -1;
    const where = [`token ${at + 1}`, `step ${tokens.step[index]}`, `particle ${tokens.place[index]}`, `id ${tokens.id[index]}`];
    return el("div", {},
      el("p", { class: "word" }, el("mark", {}, tokenLabel(this.run.tokenText(index)))),
      el("p", { class: "soft note" }, where.join(" · ")),
    );
  }

  #model(index) {
    const { run } = this;
    const figures = [
      ["Probability", probability(-run.surprisal(index)), null],
      ["Surprisal", inNats(run.surprisal(index)), "nats"],
      ["Entropy before it", inNats(run.entropy(index)), "nats"],
    ];
    if (run.tokens.sampler.length > 0) figures.splice(1, 0, ["After temperature, top-k, …", probability(run.samplerLogProb(index)), null]);
    return el("section", {}, el("h3", {}, "The model"), pairs(figures));
  }

  #constraint(index) {
    const { run } = this;
    const { z, low, high, checks, rejects } = run.tokens;
    const [used, from, to] = [z, low, high].map((column) => nats(column[index]));
    const exact = Math.exp(to) - Math.exp(from) < 1e-9;
    const chips = [];
    if (run.isForced(index)) chips.push(el("span", { class: "strong" }, "nothing else was allowed"));
    if (run.isMasked(index)) chips.push(el("span", {}, "exact mask"));
    if (run.conflict(index) > CONFLICT) chips.push(el("span", { class: "strong" }, "conflict: mostly forbidden"));
    return el("section", {},
      el("h3", {}, "The constraint"),
      pairs([
        ["Mass allowed, Z", probability(used), null],
        ["Probability among allowed", probability(run.samplerLogProb(index) - used), null],
        ["Questions asked", String(checks[index]), rejects[index] > 0 ? `${rejects[index]} refused first` : null],
      ]),
      interval(Math.exp(from), Math.exp(to), Math.exp(used)),
      el("div", { class: "ends" }, el("span", {}, "0"), el("span", {}, exact ? "Z is exact" : `Z is certainly in ${probability(from)} … ${probability(to)}`), el("span", {}, "1")),
      chips.length > 0 ? el("div", { class: "chips", style: "margin-top: 8px" }, ...chips) : null,
    );
  }

  #others(index) {
    const { run } = this;
    const others = run.alternatives(index);
    if (others.length === 0) return null;
    const drawn = { text: run.tokenText(index), logProb: run.samplerLogProb(index), drawn: true };
    const rows = [...others, drawn].sort((a, b) => b.logProb - a.logProb);
    const largest = Math.exp(rows[0].logProb);
    return el("section", {},
      el("h3", {}, "What could have come"),
      el("table", { class: "others" }, el("tbody", {}, ...rows.map((row) => {
        const [kind, verdict] = verdictOf(row);
        const bar = el("div");
        bar.style.width = `${(100 * Math.exp(row.logProb)) / largest}%`;
        const label = tokenLabel(row.text);
        return el("tr", { class: kind },
          el("td", { class: "tok", title: label }, label),
          el("td", { class: "num" }, probability(row.logProb)),
          el("td", { class: "bar" }, bar),
          el("td", { class: "verdict" }, verdict),
        );
      }))),
      el("p", { class: "soft note" }, rows.some((row) => row.asked)
        ? "Tried: this draw asked the constraint about it. Other verdicts were known before."
        : "This draw asked nothing: verdicts were known before or by the mask."),
    );
  }
}

/** A class and words for what the constraint thinks of a token. */
function verdictOf({ drawn, allowed, asked }) {
  if (drawn) return ["drawn", "● drawn"];
  if (allowed === null) return ["open", "· unknown"];
  return allowed ? ["yes", asked ? "✓ tried" : "✓ allowed"] : ["no", asked ? "✕ tried" : "✕ refused"];
}

function pairs(figures) {
  return el("dl", { class: "figures" }, ...figures.flatMap(([name, value, more]) => [
    el("dt", {}, name),
    el("dd", {}, value, more ? el("small", {}, ` ${more}`) : null),
  ]));
}

/** The certain interval of Z on the line from 0 to 1, and the estimate that was used. */
function interval(from, to, used) {
  const range = el("i");
  range.style.left = `${100 * Math.min(from, 0.99)}%`;
  range.style.width = `${100 * (to - from)}%`;
  const mark = el("b");
  mark.style.left = `${100 * used}%`;
  return el("div", { class: "interval", "aria-hidden": "true" }, range, mark);
}
