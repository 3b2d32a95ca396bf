// The drawer: faults to choose from, those that are switched on, and what was counted.

import { get, post, remove } from "/page/api.js";
import { element } from "/page/render.js";

const CHOICES = [
  ["Twilio", [
    ["Too many requests (429)", { target: "twilio", effect: "status", status: 429, retry_after: 3, method: "messages.create" }],
    ["Server error (500)", { target: "twilio", effect: "status", status: 500, method: "messages.create" }],
    ["Takes the text, then cuts the line", { target: "twilio", effect: "cut", when: "after", method: "messages.create" }],
    ["Cuts the line at once", { target: "twilio", effect: "cut", method: "messages.create" }],
    ["Slow answer (20 s)", { target: "twilio", effect: "slow", when: "after", seconds: 20, method: "messages.create" }],
    ["Texts arrive twice", { target: "twilio_webhook", effect: "duplicate" }],
    ["Texts arrive late (4 s)", { target: "twilio_webhook", effect: "disorder", seconds: 4 }],
    ["Delivery reports get lost", { target: "twilio_callback", effect: "lose" }],
    ["Delivery reports out of order", { target: "twilio_callback", effect: "disorder", seconds: 1 }],
  ]],
  ["Telegram", [
    ["Too many requests (429)", { target: "telegram", effect: "status", status: 429, retry_after: 3, method: "sendMessage" }],
    ["Bad gateway (502)", { target: "telegram", effect: "status", status: 502, method: "sendMessage" }],
    ["Takes the message, then cuts the line", { target: "telegram", effect: "cut", when: "after", method: "sendMessage" }],
    ["Slow answer (20 s)", { target: "telegram", effect: "slow", when: "after", seconds: 20, method: "sendMessage" }],
    ["Half an answer", { target: "telegram", effect: "broken", when: "after", method: "sendMessage" }],
    ["No updates (502)", { target: "telegram", effect: "status", status: 502, method: "getUpdates" }],
    ["Updates arrive twice", { target: "telegram_update", effect: "duplicate" }],
    ["Updates out of order", { target: "telegram_update", effect: "disorder", seconds: 4 }],
  ]],
];

function times() {
  const chosen = document.querySelector("input[name=times]:checked").value;
  return chosen ? Number(chosen) : null;
}

function drawChoices(report) {
  const place = document.getElementById("fault-choices");
  for (const [title, faults] of CHOICES) {
    place.append(element("h3", {}, title), element("div", { class: "buttons" }, ...faults.map(([label, fault]) =>
      element("button", {
        type: "button", class: "quiet", "aria-pressed": "false", "data-label": `${title}: ${label}`,
        onclick: () => toggle(`${title}: ${label}`, fault).catch(report),
      }, label))));
  }
}

async function toggle(label, fault) {
  const { faults } = await get("faults");
  const active = faults.filter((one) => describe(one) === label);
  if (active.length) await Promise.all(active.map((one) => remove(`faults/${one.id}`)));
  else await post("faults", { ...fault, count: times() });
}

function describe(fault) {
  const named = CHOICES.flatMap(([title, all]) => all.map(([label, one]) => [`${title}: ${label}`, one]));
  const match = named.find(([, one]) => Object.entries(one).every(([key, value]) => fault[key] === value));
  return match ? match[0] : `${fault.target} ${fault.method}: ${fault.effect} ${fault.when}`;
}

const EFFECTS = {
  status: (one) => `answered ${one.status}`,
  slow: () => "answered late",
  cut: (one) => (one.when === "after" ? "took it and cut the line" : "cut the line"),
  broken: () => "sent half an answer",
  lose: () => "was lost",
  duplicate: () => "came twice",
  disorder: () => "came late",
};
const NAMES = {
  twilio: "Twilio", telegram: "Telegram", twilio_webhook: "A text", twilio_callback: "A delivery report",
  telegram_update: "An update",
};

function strikeLine(one) {
  const api = ["twilio", "telegram"].includes(one.target);
  const after = one.again_after === null ? (api ? "not tried again yet" : "") : `tried again after ${one.again_after} s`;
  const time = new Date(one.at * 1000).toLocaleTimeString();
  return element("li", {},
    element("span", { dir: "auto" }, `${NAMES[one.target]} ${EFFECTS[one.effect](one)}${api ? ` to ${one.method}` : ""}`),
    element("small", {}, [time, after].filter(Boolean).join(", ")));
}

export async function showFaults(report) {
  const { faults, strikes } = await get("faults");
  const labels = new Set(faults.map(describe));
  for (const button of document.querySelectorAll("#fault-choices button")) {
    button.setAttribute("aria-pressed", String(labels.has(button.dataset.label)));
  }
  const struck = [...strikes].reverse().map(strikeLine);
  document.getElementById("strikes").replaceChildren(
    ...(struck.length ? struck : [element("li", { class: "nothing" }, "No fault has struck yet.")]));
  const count = document.getElementById("fault-count");
  count.hidden = faults.length === 0;
  count.textContent = String(faults.length);
  const list = document.getElementById("fault-list");
  list.replaceChildren(...faults.map((fault) => element("li", {},
    element("span", {}, describe(fault)),
    element("small", {}, fault.count === null ? "until switched off" : `${fault.count} to go`),
    element("button", {
      type: "button", class: "quiet small", onclick: () => remove(`faults/${fault.id}`).catch(report),
    }, "Switch off"))));
  if (!faults.length) list.append(element("li", { class: "nothing" }, "Everything behaves."));
}

async function showStats() {
  const stats = await get("stats");
  const rows = [
    ...Object.entries(stats.answers),
    ...Object.entries(stats.webhooks).map(([status, count]) => [`webhook ${status}`, count]),
    ...Object.entries(stats.callbacks).map(([status, count]) => [`delivery report ${status}`, count]),
    ["the same part twice", stats.duplicate_parts.length],
  ];
  document.getElementById("stats").replaceChildren(...rows.flatMap(([name, count]) => [
    element("dt", {}, name), element("dd", {}, String(count)),
  ]));
}

export function setUpFaults(report) {
  const dialog = document.getElementById("faults-dialog");
  drawChoices(report);
  document.getElementById("open-faults").addEventListener("click", () => {
    dialog.showModal();
    showFaults(report).catch(report);
    showStats().catch(report);
  });
  document.getElementById("reset").addEventListener("click", () => {
    if (window.confirm("Forget all messages and people?")) post("reset").then(() => dialog.close()).catch(report);
  });
}
