// A table whose columns sort; a cell is a text or {v: number, t: text}.
const cellText = (cell) => (typeof cell === "object" ? cell.t : cell);
const cellMark = { pass: ["good", "✓ pass"], MISS: ["bad", "✗ MISS"] };

function compareCells(a, b) {
  if (typeof a === "object") {
    if (a.v === null || b.v === null) return (a.v === null) - (b.v === null);
    return a.v - b.v;
  }
  return a < b ? -1 : a > b;
}

function tableRow(row, columns) {
  return el("tr", {}, ...row.map((cell, i) => {
    const text = cellText(cell), mark = cellMark[text];
    const wraps = columns[i].text && text.length > 60;
    const attributes = { class: (columns[i].text ? "text " : "") + (wraps ? "wrap " : "") + (mark ? mark[0] : "") };
    return i === 0 ? el("th", { ...attributes, scope: "row" }, text) : el("td", attributes, mark ? mark[1] : text);
  }));
}

function sortableTable(spec) {
  const body = el("tbody");
  let rows = spec.rows.slice(), sorted = -1, down = false, filter = "";
  const fill = () => body.replaceChildren(...rows.filter((r) => !filter || r.some((c) => cellText(c).toLowerCase().includes(filter)))
    .map((r) => tableRow(r, spec.columns)));
  const heads = spec.columns.map((column, i) =>
    el("th", { scope: "col", class: column.text ? "text" : "", title: column.help, "data-name": column.name + (column.unit ? ` [${column.unit}]` : "") },
      el("button", { type: "button", onclick: () => sort(i) }, column.name, column.unit ? el("span", { class: "unit" }, ` [${column.unit}]`) : null)));
  function sort(i) {
    down = sorted === i && !down;
    sorted = i;
    const missing = (row) => typeof row[i] === "object" && row[i].v === null;
    rows = spec.rows.slice().sort((a, b) => missing(a) - missing(b) || (down ? -1 : 1) * compareCells(a[i], b[i]));
    heads.forEach((head, h) => (h === i ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    fill();
    announce(`sorted by ${spec.columns[i].name}, ${down ? "descending" : "ascending"}`);
  }
  fill();
  const search = el("input", { type: "search", placeholder: "any word", oninput: () => ((filter = search.value.toLowerCase()), fill()) });
  return el("div", {},
    spec.rows.length > 15 ? el("div", { class: "controls" }, labelled("Filter rows", search)) : null,
    el("div", { class: spec.columns.length > 12 ? "scroll wide" : "scroll", tabindex: 0, role: "region", "aria-label": spec.caption },
      el("table", {}, el("caption", {}, el("span", {}, spec.caption)), el("thead", {}, el("tr", {}, ...heads)), body)));
}

// [[name, text], ...]
function pairTable(caption, pairs) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", { class: "pair" }, el("caption", {}, el("span", {}, caption)),
      el("tbody", {}, ...pairs.map(([name, text]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, text))))));
}
