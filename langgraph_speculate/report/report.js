"use strict";
// Each timeline tells one bar at a time, below itself: the one that is pointed at, tapped, or walked to.
for (const run of document.querySelectorAll(".run")) {
  const line = run.querySelector(".timeline"), note = run.querySelector(".note");
  const place = (bar) => Number(bar.id.split("s")[1]); // in the order of the table, which is that of time
  const shown = () => [...line.querySelectorAll(".bar")].filter((bar) => bar.offsetParent !== null)
    .sort((one, other) => place(one) - place(other));
  const tell = (bar) => {
    line.querySelectorAll(".told, [tabindex='0']").forEach((other) => { other.classList.remove("told"); other.tabIndex = -1; });
    bar.classList.add("told");
    bar.tabIndex = 0;
    note.replaceChildren(...document.getElementById(bar.id + "t").cloneNode(true).childNodes);
  };
  const first = line.querySelector(".bar");
  if (first) first.tabIndex = 0;
  for (const event of ["pointerover", "focusin", "click"])
    line.addEventListener(event, ({ target }) => { if (target.matches(".bar")) tell(target); });
  line.addEventListener("keydown", (event) => {
    const bars = shown(), at = bars.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: bars.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    bars[Math.max(0, Math.min(bars.length - 1, to))].focus();
  });
}
// The filter by tool; that by kind needs no script.
document.getElementById("tool")?.addEventListener("change", ({ target }) => {
  for (const part of document.querySelectorAll("[data-tool]"))
    part.hidden = Boolean(target.value && part.dataset.tool && part.dataset.tool !== target.value);
});
