const verbTitles = {
  compare: "Comparison of solvers", verify: "Verification of solvers", sample: "A sampling run", likelihood: "A likelihood run", elbo: "Bounds on log p",
  encode: "Latents", decode: "Decoded latents", interpolate: "Interpolation", edit: "Edited data", inpaint: "Inpainting", train: "A training run", thermo: "Thermodynamics",
};
const statusText = { complete: ["good", "✓ complete"], interrupted: ["bad", "interrupted: some rows are missing"], running: ["bad", "running"] };

sections.header = {
  draw(d, section) {
    const model = Object.fromEntries(d.model), labels = d.labels.slice(0, 12).join(", ") + (d.labels.length > 12 ? ` and ${d.labels.length - 12} more` : "");
    const status = statusText[d.status] ?? ["", d.status || "-"];
    const facts = [
      ["file", el("span", { class: "mono" }, d.file)], ["verb", d.verb], ["status", el("span", { class: status[0] }, status[1])], ["seed", d.seed],
      ["model", model.kind ? `${model.kind}, ${plural(model.dim, "dimension")}` : ""], ["written", d.created.replace("T", " ").replace("Z", " UTC")], ["solvers", labels],
    ].filter(([, value]) => value);
    document.title = `${d.file} · ${verbTitles[d.verb] ?? d.verb}`;
    section.append(el("h1", { id: "h-header" }, verbTitles[d.verb] ?? (d.verb || "Run")),
      el("dl", { class: "facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
    if (d.missing) section.append(el("p", { class: "bad" }, d.missing));
    if (d.repeat.length) {
      section.append(el("div", { class: "box" }, el("h2", {}, "Repeat this"),
        ...d.repeat.map((c) => el("div", { class: "command" }, el("pre", {}, el("code", {}, c)), copyButton(c, "command"))),
        el("p", { class: "muted" }, "The run file holds its configuration; the same build gives the same bits.")));
    }
    return true;
  },
};
