"use strict";
const REDRAW_MS = 250, RETRY_MS = 3000;
const EARLY = ["guess", "preview"]; // kinds of rows that may come to nothing
const at = (id) => document.getElementById(id);
let runs = new Map(), rows = new Map(), ahead = 0; // how far the server's clock is ahead of this one, in seconds

/** An element with text in it, never HTML: names come from servers that nobody vouches for. */
function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

const decimal = (value) => (Math.round(value * 100) / 100 + 0).toFixed(2); // + 0: there is no -0.00
const seconds = (value) => decimal(value) + " s";
const share = (part, whole) => (whole ? Math.round((100 * part) / whole) + " %" : "–");

function take(message) {
  const told = JSON.parse(message.data);
  ahead = told.now - Date.now() / 1000;
  if (told.fresh) rows = new Map();
  runs = new Map(told.runs.map((run) => [run.id, run]));
  for (const id of rows.keys()) if (!runs.has(id)) rows.delete(id);
  for (const row of told.rows) {
    if (!rows.has(row.run)) rows.set(row.run, new Map());
    rows.get(row.run).set(row.id, row);
  }
  showTotals(told.totals);
  showTools(told.tools);
  showRuns();
  showTimeline();
}

function showTotals(totals) {
  const figures = [
    ["runs ended", totals.runs],
    ["model calls", totals.turns],
    ["real calls", totals.real_calls],
    ["hit", share(totals.hits, totals.real_calls)],
    ["guesses", totals.launched],
    ["in flight", totals.in_flight],
    ["hidden", seconds(totals.hidden_s)],
    ["wasted", seconds(totals.wasted_s)],
  ];
  at("totals").replaceChildren(
    ...figures.map(([name, value]) => {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      return pair;
    }),
  );
}

function showTools(tools) {
  const lines = tools.map((tool) => {
    const line = element("tr"), name = element("th", tool.name);
    name.scope = "row";
    const figures = [tool.real_calls, tool.hits, tool.launched, tool.wasted, decimal(tool.hidden_s), decimal(tool.wasted_s)];
    line.append(name, ...figures.map((value) => element("td", value)));
    return line;
  });
  at("tools").tBodies[0].replaceChildren(...lines);
}

function showRuns() {
  const menu = at("run"), chosen = menu.value;
  const names = [...runs.values()].reverse().map((run) => {
    const began = new Date(run.wall * 1000).toLocaleTimeString();
    return [run.id, `${run.graph || "graph"}, ${began}, ${run.ended === null ? "running" : seconds(run.ended)}`];
  });
  const options = [["", "the newest"], ...names];
  const shown = [...menu.options].map((option) => option.value + option.text).join();
  if (shown === options.map(([id, name]) => id + name).join()) return; // an open menu is left alone
  menu.replaceChildren(...options.map(([id, name]) => new Option(name, id)));
  menu.value = runs.has(chosen) ? chosen : "";
}

function showTimeline() {
  const run = runs.get(at("run").value) ?? [...runs.values()].at(-1);
  if (!run) return;
  const now = Math.max(0, Date.now() / 1000 + ahead - run.wall);
  const end = Math.max(run.ended ?? now, 0.001);
  const state = run.ended === null ? "running for" : "took";
  const more = run.left_out ? `; ${run.left_out} more rows are not kept` : "";
  at("about").textContent = `${run.graph || "graph"} ${state} ${seconds(end)}${more}.`;
  const shown = [...(rows.get(run.id)?.values() ?? [])].sort((one, other) => one.began - other.began);
  at("timeline").tBodies[0].replaceChildren(...shown.map((row) => lineOf(row, end)));
}

function lineOf(row, end) {
  const line = element("tr"), name = element("th", row.name), when = element("td", "", "when");
  const until = row.ended ?? end, vain = EARLY.includes(row.kind) && row.outcome !== null && row.outcome !== "taken";
  name.scope = "row";
  name.title = row.name;
  name.append(element("span", (row.name && " ") + row.kind, "kind"));
  const track = element("div", "", "track"), bar = element("span", "", `bar ${row.kind}${vain ? " vain" : ""}`);
  bar.style.left = (100 * Math.min(row.began, end)) / end + "%";
  bar.style.width = (100 * Math.max(0, Math.min(until, end) - row.began)) / end + "%";
  bar.title = `${seconds(row.began)} to ${row.ended === null ? "now" : seconds(until)}`;
  bar.ariaHidden = true; // what it says is in the text beside it
  track.append(bar, element("span", bar.title, "unseen"));
  when.append(track);
  line.append(name, when, element("td", outcomeOf(row), "word"));
  return line;
}

function outcomeOf(row) {
  const outcome = (row.outcome ?? (row.ended === null ? "running" : EARLY.includes(row.kind) ? "waiting" : "")).replaceAll("_", " ");
  return row.saved_s === null ? outcome : `${outcome}, saved ${Math.round(row.saved_s * 1000)} ms`;
}

function listen() {
  const source = new EventSource("speculate/events"), state = at("state");
  source.onopen = () => {
    state.textContent = "Connected: what happens on the server shows here.";
    state.className = "";
  };
  source.onmessage = take;
  source.onerror = () => {
    state.textContent = "The connection is lost; trying again …";
    state.className = "lost";
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS); // the browser has given up
  };
}

at("run").onchange = showTimeline;
setInterval(() => {
  if ([...runs.values()].some((run) => run.ended === null)) showTimeline();
}, REDRAW_MS);
listen();
