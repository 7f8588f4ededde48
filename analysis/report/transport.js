const transportKinds = [["antisymmetry", "antisymmetry", "|J - Jᵀ|/|J|"], ["smallest_eigenvalue", "smallest eigenvalue", "smallest eigenvalue of (J + Jᵀ)/2"], ["log_det", "log |det J|", "log |det J| [nat]"]];

function transportMap(map) {
  const x = unpack(map.x.points), image = unpack(map.image.points), at = (points, i) => ({ x: points[2 * i], y: points[2 * i + 1] });
  const place = new Map((map.sample ?? []).map((s, i) => [s, i]));
  const swapped = (i) => map.partner.length > i && map.partner[i] >= 0 && map.partner[i] !== map.sample[i];
  const ways = Array.from({ length: map.shown }, (_, i) => ({ name: `row ${map.sample[i] ?? i}`, color: colour(swapped(i) ? 1 : 0), width: 0.7,
    points: [at(x, i), at(image, i)].map((p) => ({ ...p, text: `${short(p.x)}, ${short(p.y)}${swapped(i) ? `\nbetter: the image of row ${map.partner[i]}${place.has(map.partner[i]) ? "" : " (not shown)"}` : ""}` })) }));
  const ends = { name: "images", color: colour(2), marker: markers[0], width: 0, points: ways.map((w) => w.points[1]) };
  const count = ways.filter((_, i) => swapped(i)).length;
  return figure({ title: "Rows and their images", picture: plot(() => ({ label: `${map.shown} rows and where the flow takes them`, height: 460, x: { label: "x" }, y: { label: "y" }, series: [...ways, ends] })).element,
    caption: `${map.shown} of ${plural(map.count, "row")}; dots: images, at the noise end.${map.dim > 2 ? ` The first two of ${map.dim} coordinates.` : ""} ${count ? `In the other colour: ${count} of them, whose best image is another's.` : "No other assignment of images is cheaper for any of them."}`,
    table: () => ({ caption: "Rows and their images", columns: ["row", "x", "y", "image x", "image y"].map((name) => ({ name })), rows: ways.map((w, i) => [numberCell(map.sample[i] ?? i), ...w.points.flatMap((p) => [numberCell(p.x), numberCell(p.y)])]) }) });
}

sections.transport = {
  title: "The encoder as a transport map", short: "Transport",
  draw(d, section) {
    section.append(sortableTable({ ...d.table, caption: `Certificates of ${plural(d.rows, "row")}, and what they are for a Monge map` }));
    if (d.chain.length && d.chain.every((c) => known(c.v))) {
      const rows = ["W2², shortest way", "L², the flow's way", "b Σ/2, speed limit"].map((name, i) => ({ name, v: d.chain[i].v, text: d.chain[i].t }));
      const holds = rows.every((r, i) => !i || rows[i - 1].v <= r.v * (1 + 1e-9));
      section.append(figure({ title: "Shortest way, flow's way, speed limit", picture: rowBars({ label: rows.map((r) => `${r.name} ${r.text}`).join(", "), rows, bar: true, most: Math.max(...rows.map((r) => r.v)) }),
        caption: el("span", { class: holds ? "" : "bad" }, holds ? "W2² ≤ L² ≤ b Σ/2 holds: Benamou and Brenier, then Cauchy and Schwarz." : "The chain is broken: more stored times or tighter tolerances are needed.") }));
    }
    const kinds = transportKinds.filter(([key]) => d.histograms[key]);
    if (kinds.length) {
      let kind = kinds[0];
      const chart = plot(() => ({ label: `histogram of ${kind[1]} over ${plural(d.rows, "row")}`, height: 320, x: { label: kind[2], tight: true }, y: { label: "rows", low: 0 }, bars: histogramBars(d.histograms[kind[0]]) }));
      section.append(figure({ title: "The Jacobian of the map", controls: [choice("Quantity", kinds.map((k) => k[1]), (i) => ((kind = kinds[i]), chart.draw()))], picture: chart.element,
        caption: "A Monge map has a symmetric Jacobian (antisymmetry 0) with no eigenvalue below 0, at every row.", table: () => histogramTable(d.histograms[kind[0]], kind[1], kind[1]) }));
    }
    if (d.map && d.map.shown > 0) section.append(transportMap(d.map));
    const s = d.speed, v = s.mean_speed_squared;
    if (v.length) {
      const points = v.map((y, k) => ({ x: s.b[k], y, low: y - 2 * s.mean_speed_squared_stderr[k], high: y + 2 * s.mean_speed_squared_stderr[k], text: `b ${short(s.b[k])}, t ${short(s.t[k])}\n${short(y)}` }));
      section.append(figure({ title: "Speed along the way", picture: plot(() => ({ label: "mean squared speed against b", height: 320, x: { label: "b" }, y: { label: "E v² per b²", log: true }, series: [{ name: "E v²", ...look(0), marker: null, band: true, points }] })).element,
        caption: "v = -(x + s)/2, mean over the rows, with two standard errors. Level would be the speed limit.", table: () => ({ caption: "Speed along the way", columns: ["b", "t", "E v²"].map((name) => ({ name })), rows: v.map((y, k) => [s.b[k], s.t[k], y].map(numberCell)) }) }));
    }
    return true;
  },
};
