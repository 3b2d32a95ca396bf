// Turns bubbles into elements. Everything that a person or a bot wrote goes in as text, never as markup.

const LINKS = /https?:\/\/[^\s<>"]+/g;
const SAFE_LINK = /^(https?:|tg:|mailto:|tel:)/i;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function link(address, children) {
  if (!SAFE_LINK.test(address)) return element("span", { class: "dead-link", title: address }, ...children);
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

function spoiler(children) {
  const made = element("span", {
    class: "spoiler", role: "button", tabindex: "0", "aria-label": "Hidden text, press to show",
  }, ...children);
  const toggle = () => {
    made.classList.toggle("shown");
    made.setAttribute("aria-label", made.classList.contains("shown") ? made.textContent : "Hidden text, press to show");
  };
  made.addEventListener("click", toggle);
  made.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
  });
  return made;
}

function preformatted(entity, children) {
  const code = element("pre", { tabindex: "0" }, element("code", {}, ...children));
  if (!entity.language) return element("figure", { class: "code" }, code);
  return element("figure", { class: "code" }, element("figcaption", {}, entity.language), code);
}

const WRAPPERS = {
  bold: (_, inner) => element("strong", {}, ...inner),
  italic: (_, inner) => element("em", {}, ...inner),
  underline: (_, inner) => element("u", {}, ...inner),
  strikethrough: (_, inner) => element("s", {}, ...inner),
  code: (_, inner) => element("code", {}, ...inner),
  pre: (entity, inner) => preformatted(entity, inner),
  spoiler: (_, inner) => spoiler(inner),
  blockquote: (_, inner) => element("blockquote", {}, ...inner),
  expandable_blockquote: (_, inner) => element("blockquote", {}, ...inner),
  text_link: (entity, inner) => link(entity.url, inner),
  url: (entity, inner, text) => link(/^[a-z]+:/i.test(text) ? text : `https://${text}`, inner),
  email: (entity, inner, text) => link(`mailto:${text}`, inner),
  bot_command: (_, inner) => element("span", { class: "command" }, ...inner),
  mention: (_, inner) => element("span", { class: "command" }, ...inner),
  hashtag: (_, inner) => element("span", { class: "command" }, ...inner),
};
const BLOCKS = new Set(["pre", "blockquote", "expandable_blockquote"]);

// Offsets are UTF-16 units, which is how JavaScript counts as well.
function nodes(text, start, end, entities) {
  const made = [];
  let at = start;
  const queue = [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length);
  while (queue.length) {
    const entity = queue.shift();
    const from = Math.max(entity.offset, at);
    const to = Math.min(entity.offset + entity.length, end);
    if (to <= from) continue;
    if (from > at) made.push(text.slice(at, from));
    const inside = queue.filter((one) => one.offset < to);
    queue.splice(0, inside.length);
    for (const one of inside) {
      if (one.offset + one.length > to) {
        queue.unshift({ ...one, offset: to, length: one.offset + one.length - to });
      }
    }
    const wrap = WRAPPERS[entity.type];
    const inner = nodes(text, from, to, inside);
    if (wrap) made.push(wrap(entity, inner, text.slice(from, to)));
    else made.push(...inner);
    at = to;
    if (BLOCKS.has(entity.type) && text[at] === "\n") at += 1;  // a block ends its line by itself
  }
  if (at < end) made.push(text.slice(at, end));
  return made;
}

export function formatted(text, entities) {
  return nodes(text, 0, text.length, entities || []);
}

function linked(text) {
  return [...text.matchAll(LINKS)].map((match) => ({ type: "url", offset: match.index, length: match[0].length }));
}

const WORDS = {
  queued: "queued", accepted: "accepted", sending: "sending", sent: "sent", delivered: "delivered",
  undelivered: "not delivered", failed: "failed", received: "received", read: "read",
};

function state(bubble) {
  const telegramOut = bubble.platform === "telegram" && bubble.direction === "out";
  if (telegramOut) return null;
  const done = ["delivered", "received", "read"].includes(bubble.status);
  const bad = bubble.status === "failed" || bubble.status === "undelivered";
  const mark = bad ? "!" : done ? "✓✓" : bubble.status === "sent" ? "✓" : "·";
  const code = bubble.error_code ? ` ${bubble.error_code}` : "";
  const meaning = bubble.direction === "in"
    ? { received: "the webhook took it", failed: "the webhook did not take it", sent: "waiting for the bot", delivered: "the bot has it" }
    : {};
  return element("span", {
    class: `state ${bad ? "bad" : done ? "done" : ""}`, "data-status": bubble.status,
    title: (meaning[bubble.status] || WORDS[bubble.status] || bubble.status) + code,
  }, element("span", { "aria-hidden": "true" }, mark), ` ${WORDS[bubble.status] || bubble.status}${code}`);
}

const PICTURE_KINDS = new Set(["photo", "sticker"]);
const SOUND_KINDS = new Set(["voice", "audio", "video_note", "video"]);

// What was sent with a file, as a phone shows it; everything else is a link that saves it.
function sentFiles(bubble) {
  return element("div", { class: "attachment" }, ...bubble.sent_files.map((file, number) => {
    const address = `/sim/files/${encodeURIComponent(file)}`;
    const type = bubble.media[number] || "";
    if (PICTURE_KINDS.has(bubble.kind) || type.startsWith("image/")) return element("img", { src: address, alt: "picture", class: "sent" });
    if (SOUND_KINDS.has(bubble.kind) || type.startsWith("audio/")) return element("audio", { src: address, controls: true, preload: "none" });
    return element("a", { href: address, download: true }, `▣ ${type || bubble.kind}`);
  }));
}

function attachment(bubble) {
  if (bubble.files?.length) {
    return element("p", { class: "attachment" }, ...bubble.files.map((file) =>
      element("a", { href: `/sim/telegram/files/${file.file_id}`, target: "_blank", rel: "noopener" }, `▣ ${file.file_name}`)));
  }
  if (bubble.sent_files.length) return sentFiles(bubble);
  if (bubble.media.length) return element("p", { class: "attachment" }, `▣ ${bubble.media.join(", ")}`);
  if (bubble.kind === "text" || bubble.kind === "channel_post") return "";
  return element("p", { class: "attachment" }, `▣ ${bubble.kind}`);
}

function keyboard(bubble, actions) {
  if (!bubble.buttons.length) return "";
  const rows = bubble.buttons.map((row) => element("div", { class: "keys" }, ...row.map((key) => {
    if (key.url) return link(key.url, [String(key.text)]);
    return element("button", { type: "button", onclick: () => actions.press(bubble, key.callback_data) }, String(key.text));
  })));
  return element("div", { class: "keyboard" }, ...rows);
}

function quoted(bubble, others) {
  const answered = bubble.reply_to && others.find((one) => one.message_id === bubble.reply_to);
  if (!answered) return "";
  return element("p", { class: "reply", dir: "auto" }, answered.text.slice(0, 90) || answered.kind);
}

export function bubbleElement(bubble, others, actions) {
  const time = new Date(bubble.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const entities = bubble.platform === "telegram" ? bubble.entities : linked(bubble.text);
  const who = bubble.direction === "in" ? "You" : bubble.sender === "twilio" ? "Twilio" : "Bot";
  const meta = element("p", { class: "meta" },
    bubble.sender === "twilio" ? element("span", { class: "by" }, "Twilio itself") : "",
    bubble.edited ? element("span", { class: "edited" }, "edited") : "",
    element("time", { datetime: new Date(bubble.at * 1000).toISOString() }, time),
    state(bubble) || "");
  const canEdit = bubble.platform === "telegram" && bubble.direction === "in" && bubble.kind === "text";
  if (canEdit) {
    meta.prepend(element("button", { type: "button", class: "edit", onclick: () => actions.edit(bubble) }, "edit"));
  }
  if (bubble.platform === "telegram" && bubble.direction === "out") {
    meta.append(element("button", { type: "button", class: "edit", onclick: () => actions.reply(bubble) }, "reply"));
  }
  return element("article", {
    class: "bubble", "data-direction": bubble.direction, "data-status": bubble.status, "data-id": bubble.id,
    "data-message-id": bubble.message_id, "data-sender": bubble.sender, "data-edited": bubble.edited ? "true" : null,
    "data-testid": "bubble",
  },
    element("span", { class: "hidden" }, `${who}: `),
    quoted(bubble, others),
    attachment(bubble),
    element("div", { class: "text", dir: "auto" }, ...formatted(bubble.text, entities)),
    keyboard(bubble, actions),
    meta);
}
