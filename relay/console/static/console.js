"use strict";
// Keeps the live part of a page fresh, shows times in the reader's own zone, and sends each form once.
// Without it the pages work as well; nothing here makes HTML out of what people wrote: the server has escaped it.

const live = document.querySelector("[data-live]");
const state = document.getElementById("live-state");
const liveFrom = live?.dataset.from ?? location.pathname + location.search; // a page that answers a form has another
let tag = null;

function localTimes(root) {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const full = moment.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
    time.title = full;
    if (time.classList.contains("ago")) continue;
    time.textContent = moment.toDateString() === today
      ? moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
      : moment.toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  }
}

// Turns one tree into the other and leaves alone what is the same: focus, selection and open details survive, and a
// screen reader hears only what is new.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.dataset?.kept !== undefined) return; // a choice that a person is about to make
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) old.setAttribute(name, value);
  morphChildren(old, [...fresh.childNodes]);
}

// The next element, if it has no id and is of the same kind; texts between are passed over.
function unnamedTwin(next, node) {
  let one = next;
  while (one && one.nodeName !== node.nodeName && one.nodeType !== Node.ELEMENT_NODE) one = one.nextSibling;
  return one && !one.id && one.nodeName === node.nodeName ? one : null;
}

function morphChildren(parent, fresh) {
  const wanted = new Set(fresh.map((node) => node.id));
  // What is gone goes first, or all that has no id behind it would be taken for new, with what was chosen there.
  for (const child of [...parent.children]) if (child.id && !wanted.has(child.id)) child.remove();
  const named = new Map([...parent.children].filter((child) => child.id).map((child) => [child.id, child]));
  let next = parent.firstChild;
  for (const node of fresh) {
    const twin = node.id ? named.get(node.id) : unnamedTwin(next, node);
    if (twin) {
      if (twin !== next) parent.insertBefore(twin, next);
      next = twin.nextSibling;
      morph(twin, node);
    } else {
      parent.insertBefore(node, next);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function atTheEnd() {
  return window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 120;
}

function toTheEnd() {
  if (document.getElementById("newest")) window.scrollTo(0, document.documentElement.scrollHeight);
}

function show(html) {
  const fresh = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html").body.firstChild;
  const follow = atTheEnd();
  localTimes(fresh);
  morphChildren(live, [...fresh.childNodes]);
  if (follow) toTheEnd();
}

function connected(yes) {
  state.textContent = yes ? "live" : "no connection, trying again";
  state.classList.toggle("lost", !yes);
}

// A stream of events for as long as the page is seen. The browser opens it again by itself, unless the server refuses it:
// then the page is polled, which finds out why.
function listen() {
  let source = null;
  function open() {
    source = new EventSource(liveFrom);
    source.onmessage = (event) => {
      show(event.data);
      connected(true);
    };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return connected(false);
      document.removeEventListener("visibilitychange", seen);
      keepFresh();
    };
  }
  function seen() {
    source?.close();
    source = null;
    if (!document.hidden) open();
  }
  document.addEventListener("visibilitychange", seen);
  seen();
}

async function refresh() {
  const headers = { "X-Live": "1", Accept: "text/html" };
  if (tag) headers["If-None-Match"] = tag;
  const answer = await fetch(liveFrom, { headers, cache: "no-store", redirect: "error" });
  if (answer.status === 403 || answer.status === 404) return leave();
  if (answer.status !== 304) {
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.text());
    tag = answer.headers.get("ETag");
  }
  connected(true);
}

function isUnsent(field) {
  return field.type !== "hidden" && field.value && (field === message || field.value !== field.defaultValue);
}

// The reload shows why; what somebody has begun to write is not thrown away for it.
function leave() {
  if (![...document.querySelectorAll("textarea, input")].some(isUnsent)) return location.reload();
  const link = document.createElement("a");
  link.href = location.href;
  link.target = "_blank";
  link.textContent = "this page is closed: open it again";
  state.replaceChildren(link);
  state.classList.add("lost");
}

async function keepFresh() {
  if (!document.hidden) {
    try {
      await refresh();
    } catch {
      connected(false);
    }
  }
  setTimeout(keepFresh, Number(live.dataset.live));
}

localTimes(document);
if (location.hash === "#newest") toTheEnd();
if (live && live.dataset.live) {
  document.documentElement.classList.add("with-script");
  listen();
}

document.addEventListener("submit", ({ target }) => {
  if (target.dataset.once === undefined) return;
  // Not before the form is sent: a disabled button's name and value, which say what is to be done, would not be.
  setTimeout(() => {
    for (const button of target.querySelectorAll("button")) button.disabled = true;
  });
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[data-once] button")) button.disabled = false;
});

const message = document.getElementById("message");
if (message) {
  message.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) message.form.requestSubmit();
  });
}

// After a change that restarts the console: what comes next is offered when another process answers.
const waiting = document.querySelector("[data-wait]");

async function awaitRestart() {
  try {
    const answer = await fetch("/setup/instance", { cache: "no-store" });
    if (answer.ok && (await answer.text()) !== waiting.dataset.wait) {
      waiting.remove();
      document.documentElement.classList.remove("waiting");
      return;
    }
  } catch {
    // it is not up again yet
  }
  setTimeout(awaitRestart, 300);
}

if (waiting) {
  document.documentElement.classList.add("waiting");
  awaitRestart();
}
