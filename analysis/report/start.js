// Draws the sections that the file has, in the order of analysis/report.def.
const nav = document.getElementById("nav"), main = document.getElementById("main");
main.replaceChildren(announcer);
nav.append(el("a", { class: "mark", href: "#header" }, "vpsde"));
for (const name of Object.keys(data).filter((n) => sections[n])) {
  const section = el("section", { id: name });
  try {
    if (!sections[name].draw(data[name], section)) continue;
  } catch (error) { // a file that is not as the schema says spoils its own section only
    section.append(el("p", { class: "bad" }, `This part of the file cannot be drawn: ${error.message}`));
  }
  if (sections[name].title) section.prepend(el("h2", { id: `h-${name}` }, sections[name].title));
  section.setAttribute("aria-labelledby", `h-${name}`);
  main.append(section);
  if (sections[name].title) nav.append(el("a", { href: `#${name}` }, sections[name].short ?? sections[name].title));
}
const dark = () => document.documentElement.dataset.theme === "dark";
const themeButton = el("button", { type: "button", class: "end", "aria-pressed": String(dark()), onclick: () => {
  setTheme(dark() ? "light" : "dark");
} }, "Dark");
painters.push(() => themeButton.setAttribute("aria-pressed", String(dark())));
nav.append(themeButton);
document.getElementById("foot").append(`vpsde ${data.header.version} · schema ${data.header.schema} · this page is complete in itself and asks the network for nothing`);
