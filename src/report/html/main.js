// Joins data and views, and fills what is plain text: the head, the figures, the facts at the foot.

const SEPARATOR = " · ";

/** Any error is told on the page: a picture that is missing without a word would be taken for the truth. */
function fail(error) {
  byId("failure").hidden = false;
  byId("failure").textContent = `This page could not be drawn: ${error?.message ?? error}`;
  document.documentElement.dataset.state = "failed";
}
window.addEventListener("error", (event) => fail(event.error ?? event.message));

/** The settings in the address: `#particle=3&token=14&scale=entropy&theme=dark`. */
const asked = new URLSearchParams(location.hash.slice(1));

function head(data) {
  byId("prompt").textContent = data.prompt.trim() === "" ? "A run of tamis" : excerpt(data.prompt, 220);
  const facts = [
    el("span", {}, data.model.name || "a model"),
    ...data.constraints.map(({ kind, source }) => el("span", {}, `${kind.replaceAll("_", " ")} `, el("code", {}, excerpt(source, 80)))),
    el("span", {}, count(data.options.particles, "particle")),
    el("span", {}, `sampler ${data.options.sampler}`),
    el("span", {}, `seed ${data.options.seed}`),
  ];
  byId("facts").replaceChildren(...facts);
}

function overview(run) {
  const { data } = run;
  const [lead, reason] = data.unsatisfiable === null
    ? [data.evidence, null]
    : ["No text satisfies the constraint; this was known without a run.", data.unsatisfiable];
  byId("evidence").replaceChildren(lead, ...(reason ? [el("br"), el("code", {}, reason)] : []));
  const { timings, options } = data;
  const speed = (timings.tokens - options.particles) / (timings.run - timings.first_token);
  const perToken = run.size > 0 ? data.checks / run.size : null;
  const tiles = [
    ["Evidence", data.evidence_number ?? "none", null, data.options.critics.length > 0 ? "of valid answers, times their scores" : "probability of a valid answer"],
    ["Effective sample size", data.ess.toFixed(1), `of ${options.particles}`, "equal samples that the particles are worth"],
    ["Answers", String(data.answers.length), null, data.answers.length > 0 ? `the likeliest has ${share(data.answers[0].probability)}` : "all particles died"],
    ["Tokens drawn", timings.tokens.toLocaleString("en"), null, `in ${count(run.steps.length, "step")}`],
    ["Questions a token", perToken === null ? "–" : perToken.toFixed(1), null, "to the constraint"],
    ["Time", `${timings.run.toFixed(1)}`, "s", Number.isFinite(speed) && speed > 0 ? `${Math.round(speed).toLocaleString("en")} tokens a second` : ""],
  ];
  byId("tiles").replaceChildren(...tiles.map(([name, value, unit, words]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value, unit ? el("small", {}, unit) : null), el("dd", {}, words))));
}

function about(data) {
  const { options, model, timings } = data;
  const changes = [
    options.temperature !== 1 ? `temperature ${options.temperature}` : null,
    options.top_k !== null ? `top-k ${options.top_k}` : null,
    options.top_p < 1 ? `top-p ${options.top_p}` : null,
    options.min_p > 0 ? `min-p ${options.min_p}` : null,
  ].filter(Boolean);
  const facts = [
    ["Prompt", data.prompt],
    ["System message", data.system],
    ["Constraint", data.constraints.map(({ kind, source }) => `${kind.replaceAll("_", " ")}: ${source}`).join("\n")],
    ["Model", [model.name, model.path].filter(Boolean).join(SEPARATOR)],
    ["Vocabulary", model.vocabulary_size > 0 ? `${model.vocabulary_size.toLocaleString("en")} tokens; context of ${model.context_length.toLocaleString("en")}` : null],
    ["Device", model.device],
    ["Sampling", changes.length > 0 ? changes.join(SEPARATOR) : "the model's distribution as it is"],
    ["Sampler", `${options.sampler}${options.properly_weighted ? "" : ", which does not weigh what it draws"}`],
    ["Critics", options.critics.join("\n")],
    ["Particles", `${options.particles}, resampled when the effective sample size falls below ${+(options.ess_threshold * options.particles).toPrecision(3)}`],
    ["Longest answer", count(options.max_tokens, "token")],
    ["Seed", String(options.seed)],
    ["Time", `model ${timings.load.toFixed(2)} s${SEPARATOR}first token after ${timings.first_token.toFixed(2)} s${SEPARATOR}run ${timings.run.toFixed(2)} s`],
    ["Made by", `tamis ${data.tamis}`],
  ];
  byId("about").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function deaths(data) {
  if (data.deaths.length === 0) return;
  const box = byId("deaths");
  box.hidden = false;
  box.open = data.answers.length === 0;
  box.querySelector("summary").textContent = `Where particles died (the last ${data.deaths.length === 1 ? "one" : data.deaths.length})`;
  box.querySelector("ul").replaceChildren(...data.deaths.map(({ text, tokens, out_of_tokens, wanted }) => {
    const where = `after ${count(tokens, "token")}${out_of_tokens ? ", at the token limit" : ""}`;
    const why = wanted ? `; expected ${wanted.expected}` : "";
    const tail = safe(text).slice(-160);
    return el("li", {}, el("code", {}, tail === "" ? "(nothing written)" : `${tail.length < text.length ? "…" : ""}${tail}`), el("br"), el("span", { class: "soft" }, where + why));
  }));
}

/** The colours follow the reader's system until he chooses; his choice is remembered where that is allowed. */
function themes(repaint) {
  const set = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    repaint();
  };
  let kept = null;
  try { kept = localStorage.getItem("tamis-theme"); } catch { /* a page from a file may have no storage */ }
  const radios = [...byId("themes").querySelectorAll("input")];
  const first = radios.find((radio) => radio.value === (asked.get("theme") ?? kept));
  if (first) first.checked = true;
  if (first) set(first.value);
  byId("themes").addEventListener("change", ({ target }) => {
    set(target.value);
    try { localStorage.setItem("tamis-theme", target.value); } catch { /* as above */ }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

/** What is chosen at first: what the address asks for, else the most surprising word of the heaviest text. */
function firstChoice(run, selection) {
  const place = asked.get("particle");
  const lineage = run.lineages.find(({ places }) => place !== null && places.includes(Number(place))) ?? run.lineages[0] ?? null;
  const path = lineage ? run.path(lineage.last) : [];
  const wanted = asked.get("token");
  const words = path.filter((index) => run.tokenText(index) !== "");
  const surprising = words.reduce((best, index) => (best === null || run.surprisal(index) > run.surprisal(best) ? index : best), null);
  selection.choose(lineage, wanted === null ? surprising : path[Number(wanted)], path);
}

try {
  const run = new Run(JSON.parse(byId("data").textContent));
  const selection = new Selection();
  head(run.data);
  overview(run);
  about(run.data);
  deaths(run.data);
  const lists = new Lists(run, selection);
  new TextView(run, selection);
  new Card(run, selection).show();
  const timeline = run.steps.length > 0 ? new Timeline(run, selection) : null;
  byId("answers").hidden = run.lineages.length === 0;
  byId("genealogy").hidden = timeline === null;
  firstChoice(run, selection);
  const scale = [...byId("scales").querySelectorAll("input")].find((radio) => radio.value === asked.get("scale"));
  if (scale) scale.click();
  const list = lists.lists.find(({ name }) => name.toLowerCase() === asked.get("list"));
  if (list) lists.open(list);
  themes(() => { timeline?.paint(); lists.repaint(); });
  timeline?.paint();
  document.documentElement.dataset.state = "ready";
} catch (error) {
  fail(error);
  throw error;
}
