// Lines of a name, a bar or an interval, and how the value reads.
//   rows: [{name, v, low, high, text}]; bar: from 0 to v, else a dot with its interval; line: {v, name}; most: end of the scale
function rowBars({ label, rows, bar, line, most }) {
  const element = el("div", { class: "picture" }), tall = 26;
  responsive(element, (width) => {
    const left = Math.min(190, 0.36 * width), right = width - 76, top = line ? 20 : 4;
    const at = (v) => left + (v / most) * (right - left), end = top + tall * rows.length, parts = [];
    if (line) {
      parts.push(svg("line", { class: "guide", x1: at(line.v), x2: at(line.v), y1: top, y2: end }),
        svg("text", { x: at(line.v), y: 13, "text-anchor": "end" }, line.name));
    }
    rows.forEach((r, i) => {
      const y = top + tall * (i + 0.5);
      parts.push(svg("text", { class: "label", x: left - 10, y: y + 4, "text-anchor": "end" }, r.name), svg("text", { x: width, y: y + 4, "text-anchor": "end" }, r.text),
        svg("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }));
      if (bar) parts.push(svg("rect", { x: left, y: y - 8, width: Math.max(1, at(r.v) - left), height: 16, fill: colour(i) }));
      else parts.push(known(r.low) && known(r.high) ? svg("line", { x1: at(r.low), x2: at(r.high), y1: y, y2: y, stroke: colour(0), "stroke-width": 2.5 }) : null, svg("circle", { cx: at(r.v), cy: y, r: 4, fill: colour(0) }));
    });
    element.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${end + 4}`, role: "img", "aria-label": label }, ...parts));
  });
  return element;
}
