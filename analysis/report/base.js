// Helpers for elements, the embedded data, and the theme.
const data = JSON.parse(document.getElementById("data").textContent);
const sections = {}; // name: {title, draw(data, element)}; in the order of the data

function make(space, tag, attributes, children) {
  const node = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes, ...children) => make(null, tag, attributes, children);
const svg = (tag, attributes, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);

// {f32: base64} or {u8: base64} as a typed array.
function unpack(packed) {
  const text = atob(packed.f32 ?? packed.u8);
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  if (packed.u8 !== undefined) return bytes;
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (i) => `var(--c${i % 7})`;
const known = (value) => value !== null && Number.isFinite(value);
const plural = (n, word) => `${n} ${word}${Number(n) === 1 ? "" : "s"}`;
// For pictures only; what is read as a number was printed by vpsde.
const short = (value) => (known(value) ? String(Number(value.toPrecision(4))) : "-");

let unique = 0;
function labelled(text, control) {
  control.id = `c${unique++}`;
  return el("label", { for: control.id }, text, control);
}
function choice(text, options, chosen) {
  const select = el("select", { onchange: () => chosen(select.selectedIndex) }, ...options.map((o) => el("option", {}, o)));
  return labelled(text, select);
}

// Colours of canvases do not follow the style by themselves.
const painters = [];
function painted(paint) {
  painters.push(paint);
  paint();
}
const systemDark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  painters.forEach((paint) => paint());
}
setTheme(systemDark.matches ? "dark" : "light");
systemDark.addEventListener("change", () => setTheme(systemDark.matches ? "dark" : "light"));
// Paper is light: pictures too, which are painted.
let onScreen = null;
addEventListener("beforeprint", () => {
  onScreen = document.documentElement.dataset.theme;
  setTheme("light");
});
addEventListener("afterprint", () => onScreen && setTheme(onScreen));

// Calls draw(width) now and when the width of the element changes.
function responsive(element, draw) {
  let last = 0;
  const update = () => {
    const width = Math.floor(element.clientWidth);
    if (width > 0 && width !== last) draw((last = width));
  };
  new ResizeObserver(update).observe(element);
  requestAnimationFrame(update);
}

const announcer = el("div", { class: "hidden", "aria-live": "polite" });
const announce = (text) => (announcer.textContent = text);

function copyButton(text, what) {
  const button = el("button", { type: "button", "aria-label": `Copy ${what}`, onclick: copy }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = el("textarea", { class: "hidden", "aria-label": "copy" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    announce(`${what} copied`);
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  return button;
}
