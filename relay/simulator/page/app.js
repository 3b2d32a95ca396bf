// The page: who is chosen, what the two phones show, and the live stream that keeps them so.

import { get, post, upload } from "/page/api.js";
import { setUpFaults, showFaults } from "/page/faults.js";
import { Phone, setUpComposer } from "/page/phones.js";
import { element } from "/page/render.js";

const byId = (id) => document.getElementById(id);
const state = { people: [], groups: [], number: "", bot: {}, person: null, chat: null, texting: "sms", about: null, unread: new Map(), bubbles: 0 };
const SHOWN_PEOPLE = 10;

// The chosen person and the unfinished texts of each survive a reload of this tab.
const memory = {
  get: (key) => sessionStorage.getItem(key) || "",
  set: (key, text) => (text ? sessionStorage.setItem(key, text) : sessionStorage.removeItem(key)),
};
const draftKey = (platform) => `draft ${platform} ${state.person.id}`;

function keepDrafts() {
  if (!state.person) return;
  for (const platform of ["sms", "telegram"]) memory.set(draftKey(platform), byId(`${platform}-input`).value);
}

function showDrafts() {
  for (const platform of ["sms", "telegram"]) byId(`${platform}-input`).value = memory.get(draftKey(platform));
}

function report(problem) {
  const notice = byId("notice");
  notice.textContent = problem ? problem.message || String(problem) : "";
  notice.hidden = !problem;
  clearTimeout(report.timer);
  if (problem) report.timer = setTimeout(() => report(null), 12000);
}

const sms = new Phone("sms", { emptyText: "No messages yet. Say hello, or ask:", ask: (text) => sendSms(text) });
const telegram = new Phone("telegram", {
  emptyText: "Nothing here yet. Press Start, or ask:",
  ask: (text) => sendTelegram({ text }),
  press: (bubble, data) => post("telegram/press", { chat_id: state.chat, message_id: bubble.message_id, data, ...(state.chat < 0 ? { from: state.person.chat_id } : {}) }).catch(report),
  stop: () => post("telegram/stop", { chat_id: state.chat }).catch(report),
  edit: (bubble) => {
    writeAbout({ edit_of: bubble.message_id }, "Editing your message");
    byId("telegram-input").value = bubble.text;
  },
  reply: (bubble) => writeAbout({ reply_to: bubble.message_id }, `Replying to: ${bubble.text.slice(0, 60) || bubble.kind}`),
});

// -- people --------------------------------------------------------------------------------------------------------

// The chosen person, those with news and the first few; the rest is found by name or number.
function shownPeople() {
  const words = byId("find-person").value.trim().toLowerCase();
  const fits = (one) => `${one.name} ${one.phone_number} ${one.chat_id}`.toLowerCase().includes(words);
  const rank = (one) => (one.id === state.person?.id ? 0 : state.unread.has(one.id) ? 1 : 2);
  const found = state.people.filter((one) => fits(one) || (!words && rank(one) === 0));
  if (state.people.length <= SHOWN_PEOPLE) return found;
  return [...found].sort((a, b) => rank(a) - rank(b)).slice(0, SHOWN_PEOPLE);
}

function drawPeople() {
  byId("find-person").hidden = state.people.length <= SHOWN_PEOPLE;
  byId("people").replaceChildren(...shownPeople().map((person) => {
    const marks = [person.opted_out ? "said STOP" : "", person.blocked ? "blocked the bot" : ""].filter(Boolean).join(", ");
    const unread = state.unread.get(person.id) || 0;
    return element("li", {}, element("button", {
      type: "button", class: "person", "aria-pressed": String(person.id === state.person?.id),
      "data-testid": "person", "data-person": person.id, onclick: () => choose(person.id),
      title: marks || `${person.phone_number}, chat ${person.chat_id}`,
    }, element("span", { class: "name" }, person.name), marks ? element("small", {}, marks) : "",
      unread ? element("span", { class: "count" }, element("span", { class: "hidden" }, "unread: "), String(unread)) : ""));
  }));
}

function drawChats() {
  const select = byId("telegram-chat");
  const chats = [[state.person.chat_id, "Private chat"], ...state.groups.map((group) => [group.chat_id, group.title])];
  select.hidden = chats.length < 2;
  select.replaceChildren(...chats.map(([id, title]) => element("option", { value: id, selected: id === state.chat }, title)));
}

function drawAbout() {
  const { person } = state;
  const byWhatsApp = state.texting === "whatsapp";
  byId("sms-title").textContent = byWhatsApp ? "WhatsApp" : "Text messages";
  byId("sms-about").textContent = `${person.name}, ${person.phone_number} → ${byWhatsApp ? state.whatsappNumber : state.number}`;
  byId("telegram-about").textContent = `${person.name} → @${state.bot.username || "bot"}`;
  byId("telegram-title").textContent = state.bot.name || "Telegram";
  const block = byId("telegram-block");
  block.textContent = person.blocked ? "Unblock" : "Block";
  block.setAttribute("aria-pressed", String(person.blocked));
  byId("telegram-start-row").hidden = person.started || state.chat !== person.chat_id;
  byId("sms-stopped").hidden = byWhatsApp || !person.opted_out;
  byId("telegram-stopped").hidden = !person.blocked;
}

async function loadPeople() {
  const data = await get("people");
  Object.assign(state, { people: data.people, groups: data.groups, number: data.number, bot: data.bot });
  state.whatsappNumber = data.whatsapp_number;
  byId("sms-channel").hidden = !data.whatsapp_number;
  const first = !state.person;
  const wanted = first ? memory.get("person") : state.person.id;
  state.person = state.people.find((one) => one.id === wanted) || state.people[0];
  if (first) showDrafts();
  const link = byId("console-link");
  link.href = data.console_url;
  // A login belongs to one name of this machine: whoever came by localhost goes on by localhost.
  if (location.hostname === "localhost") link.hostname = "localhost";
  link.hidden = false;
  byId("setup-link").href = new URL("/setup", link.href).href;
  const chats = [state.person.chat_id, ...state.groups.map((group) => group.chat_id)];
  if (!chats.includes(state.chat)) state.chat = state.person.chat_id;
  drawPeople();
  drawChats();
  drawAbout();
}

// A bubble that arrives while the transcripts are fetched may be missing in the response, which must not replace it.
async function loadTranscripts() {
  const { person, chat: chatId, texting, bubbles } = state;
  const [texts, chat] = await Promise.all([
    get(`transcript?platform=${texting}&person=${encodeURIComponent(person.phone_number)}`),
    get(`transcript?platform=telegram&person=${chatId}`),
  ]);
  const isCurrent = person.id === state.person.id && chatId === state.chat && texting === state.texting && bubbles === state.bubbles;
  if (!isCurrent) return loadTranscripts();
  sms.show(texts);
  telegram.show(chat);
}

async function choose(id) {
  keepDrafts();
  state.person = state.people.find((one) => one.id === id);
  memory.set("person", id);
  state.chat = state.person.chat_id;
  state.unread.delete(id);
  stopEditing();
  showDrafts();
  drawPeople();
  drawChats();
  drawAbout();
  await loadTranscripts().catch(report);
}

function setUpPeople() {
  byId("find-person").addEventListener("input", drawPeople);
  byId("open-connect").addEventListener("click", () => byId("connect-dialog").showModal());
  window.addEventListener("pagehide", keepDrafts);
  const dialog = byId("person-dialog");
  byId("add-person").addEventListener("click", () => {
    byId("person-form").reset();
    byId("person-error").textContent = "";
    dialog.showModal();
  });
  byId("person-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value.trim()));
    try {
      const { person } = await post("people", given);
      dialog.close();
      await loadPeople();
      await choose(person.id);
    } catch (problem) {
      byId("person-error").textContent = problem.message;
    }
  });
}

// -- writing -------------------------------------------------------------------------------------------------------

async function sendSms(body, files = []) {
  try {
    const result = await post("sms/send", { from: state.person.phone_number, channel: state.texting, body, files });
    if (result.error) report(new Error(`The text was not taken: ${result.error}. Is the SMS server running?`));
    else if (result.webhook_status >= 400) report(new Error(`The webhook answered ${result.webhook_status}.`));
    await loadPeople();  // a STOP or START has changed what may be sent
  } catch (problem) {
    report(problem);
  }
}

async function sendTelegram(fields) {
  const about = state.about || {};
  stopEditing();
  const extra = { ...about, ...(state.chat < 0 && !about.edit_of ? { from: state.person.chat_id } : {}) };
  try {
    await post("telegram/send", { chat_id: state.chat, ...extra, ...fields });
    if (!state.person.started) await loadPeople();
  } catch (problem) {
    report(problem);
  }
}

// What is written next replaces a message of one's own, or replies to a message.
function writeAbout(about, words) {
  state.about = about;
  byId("telegram-about-message").textContent = words;
  byId("telegram-editing").hidden = false;
  byId("telegram-input").focus();
}

function stopEditing() {
  state.about = null;
  byId("telegram-editing").hidden = true;
}

function drawMenu() {
  const item = (label, detail, run) => element("button", { type: "button", role: "menuitem", onclick: () => { toggleMenu(false); run(); } },
    element("b", {}, label), element("span", {}, detail));
  const commands = (state.bot.commands || []).map((one) =>
    item(`/${one.command}`, one.description, () => sendTelegram({ text: `/${one.command}` })));
  const kinds = [
    ...["photo", "voice", "document"].map((kind) => item(kind, "choose a file", () => chooseForTelegram(kind))),
    ...["sticker", "location"].map((kind) => item(kind, "send one", () => sendTelegram({ kind }))),
  ];
  byId("telegram-commands").replaceChildren(
    element("p", {}, commands.length ? "Commands" : "The bot has no command menu yet"), ...commands,
    element("p", {}, "Attach"), ...kinds);
}

const CHOICES = { photo: "image/*", voice: "audio/*", document: "" };

function chooseForTelegram(kind) {
  const input = byId("telegram-file");
  input.dataset.kind = kind;
  input.accept = CHOICES[kind];
  input.click();
}

// What is written goes along as the caption; several photos are an album.
async function sendChosen(input, send) {
  const chosen = [...input.files].slice(0, 10);
  input.value = "";
  try {
    const files = [];
    for (const file of chosen) files.push(await upload(file));
    if (files.length) await send(files);
  } catch (problem) {
    report(problem);
  }
}

function taken(input) {
  const text = input.value;
  input.value = "";
  return text;
}

async function sendTelegramFiles(kind, files) {
  const album = files.length > 1 ? { album: `${Date.now()}` } : {};
  const caption = taken(byId("telegram-input"));
  for (const [number, file] of files.entries()) {
    await sendTelegram({ kind, file, ...album, ...(number === 0 ? { caption } : {}) });
  }
}

function toggleMenu(open) {
  const menu = byId("telegram-commands");
  if (open) drawMenu();
  menu.hidden = !open;
  byId("telegram-menu").setAttribute("aria-expanded", String(open));
  if (open) menu.querySelector("button")?.focus();
}

function setUpWriting() {
  setUpComposer("sms", (text) => sendSms(text));
  setUpComposer("telegram", (text) => sendTelegram({ text }));
  byId("sms-picture").addEventListener("click", () => byId("sms-file").click());
  byId("sms-file").addEventListener("change", (event) =>
    sendChosen(event.target, (files) => sendSms(taken(byId("sms-input")), files)));
  byId("telegram-file").addEventListener("change", (event) =>
    sendChosen(event.target, (files) => sendTelegramFiles(event.target.dataset.kind, files)));
  byId("telegram-start").addEventListener("click", () => sendTelegram({ text: "/start" }));
  byId("telegram-edit-cancel").addEventListener("click", () => {
    if (state.about?.edit_of) byId("telegram-input").value = "";
    stopEditing();
  });
  byId("telegram-menu").addEventListener("click", () => toggleMenu(byId("telegram-commands").hidden));
  byId("telegram-commands").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { toggleMenu(false); byId("telegram-menu").focus(); }
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#telegram-commands, #telegram-menu")) toggleMenu(false);
  });
  byId("telegram-block").addEventListener("click", () =>
    post(`telegram/${state.person.blocked ? "unblock" : "block"}`, { chat_id: state.person.chat_id }).catch(report));
  byId("sms-channel").addEventListener("change", (event) => {
    state.texting = event.target.value;
    sms.platform = state.texting;
    drawAbout();
    loadTranscripts().catch(report);
  });
  byId("telegram-chat").addEventListener("change", (event) => {
    state.chat = Number(event.target.value);
    stopEditing();
    drawAbout();
    loadTranscripts().catch(report);
  });
}

function setUpSwitch() {
  const buttons = [...document.querySelectorAll("[data-show]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      document.body.dataset.view = button.dataset.show;
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
      for (const phone of [sms, telegram]) phone.toEnd();
    });
  }
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
}

// -- news ----------------------------------------------------------------------------------------------------------

function countUnread(event) {
  if (event.bubble.direction !== "out" || event.bubble.edited || event.bubble.deleted) return;
  const owner = state.people.find((one) => one.phone_number === event.key || String(one.chat_id) === event.key);
  const first = ["queued", "accepted"].includes(event.bubble.status) || event.platform === "telegram";
  if (!owner || owner.id === state.person.id || !first) return;
  state.unread.set(owner.id, (state.unread.get(owner.id) || 0) + 1);
  drawPeople();
}

let reloading = null;
function reloadSoon() {
  reloading ??= setTimeout(async () => {
    reloading = null;
    await loadPeople().then(loadTranscripts).catch(report);
  }, 60);
}

function showBubble(phone, bubble) {
  state.bubbles += 1;
  phone.update(bubble);
}

function take(event) {
  const byNumber = event.platform !== "telegram";
  const phone = byNumber ? sms : telegram;
  const shown = !byNumber ? String(state.chat) : event.platform === state.texting ? state.person.phone_number : null;
  if (event.type === "bubble" && event.key === shown) showBubble(phone, event.bubble);
  else if (event.type === "bubble") countUnread(event);
  else if (event.type === "typing" && event.key === shown) phone.showLive(true, null, event.seconds);
  else if (event.type === "draft" && event.key === shown) phone.showLive(false, event.draft);
  else if (event.type === "notice" && event.key === shown) report(event.text);
  else if (event.type === "people") loadPeople().catch(report);
  else if (event.type === "faults") showFaults(report).catch(report);
  else if (event.type === "reload") reloadSoon();
  if (event.type === "bubble" && event.bubble.sender === "twilio") loadPeople().catch(report);
}

function listen() {
  const connection = byId("connection");
  const source = new EventSource("/sim/events");
  const say = (name, text) => { connection.dataset.state = name; connection.textContent = text; };
  source.addEventListener("hello", () => { say("on", "live"); reloadSoon(); showFaults(report).catch(report); });
  source.addEventListener("error", () => say("off", "reconnecting"));
  source.addEventListener("message", (message) => take(JSON.parse(message.data)));
}

setUpPeople();
setUpWriting();
setUpSwitch();
setUpFaults(report);
loadPeople().then(loadTranscripts).then(listen).catch((problem) => { report(problem); listen(); });
