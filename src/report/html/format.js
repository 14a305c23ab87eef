// Numbers and texts as they are shown, and the making of elements.

/** An element with properties (`class`, `on…`, ARIA and other attributes) and children. */
function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The element of this id. */
const byId = (id) => document.getElementById(id);

/** A probability by its logarithm, to two digits: 0.31, 0.0042, 3.1e-7. */
function probability(logProb) {
  const value = Math.exp(logProb);
  if (logProb === -Infinity) return "0";
  if (value < 1e-300) return `e^${Math.round(logProb)}`;
  if (value < 0.001) return value.toExponential(1);
  if (value < 0.0995) return value.toFixed(Math.floor(-Math.log10(value)) + 2);
  if (value >= 0.995 && value < 1 - 1e-6) return `1 − ${(1 - value).toExponential(0)}`;
  return value.toFixed(2);
}

/** A share of the whole, in a narrow column. */
function share(value) {
  if (value > 0 && value < 0.0005) return value.toExponential(0);
  return value.toFixed(3);
}

/** A number of nats. */
function inNats(value) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  // Not "−0.00".
  return (Math.abs(value) < 0.005 ? 0 : value).toFixed(digits).replace("-", "−");
}

const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** Characters that are not seen or that turn the direction of others, as escapes. */
function safe(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u{${character.codePointAt(0).toString(16)}}`;
  });
}

/** A token alone, so that blanks are seen. */
function tokenLabel(text) {
  if (typeof text !== "string") return hex(text);
  if (text === "") return "■ end";
  return safe(text).replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣");
}

/** A text on one line, cut. */
function excerpt(text, length = 260) {
  const line = safe(text.slice(0, length + 40)).replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length)}…` : line;
}

/** The colour of a custom property, resolved for the theme in force: a canvas knows no `light-dark()`. */
function colour(name) {
  const probe = (colour.probe ??= document.body.appendChild(el("span", { hidden: true })));
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** Sizes a canvas for the screen's pixels and gives its context, scaled to CSS pixels. */
function contextOf(canvas, width, height) {
  const scale = Math.min(window.devicePixelRatio || 1, 8192 / width);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return context;
}

/** Where an arrow key leads among `length` things in a row; `null` for other keys. */
function moved(key, at, length, keys = { next: "ArrowDown", back: "ArrowUp" }) {
  if (key === keys.next) return Math.min(at + 1, length - 1);
  if (key === keys.back) return Math.max(at - 1, 0);
  if (key === "Home") return 0;
  if (key === "End") return length - 1;
  return null;
}
