// One phone of the page: its log, its composer, what is live in it (typing, drafts).

import { bubbleElement, element, formatted } from "/page/render.js";

// What the demo can answer; a connected AI answers them as well.
const SUGGESTIONS = ["What can you do?", "Tell me something long", "What did I say before?", "How do I connect a real AI?"];

export class Phone {
  constructor(platform, actions) {
    this.platform = platform;
    this.actions = actions;
    this.log = document.getElementById(`${platform}-log`);
    this.live = document.getElementById(`${platform}-live`);
    this.bubbles = [];
    this.timer = null;
  }

  show(transcript) {
    this.bubbles = transcript.bubbles.map((bubble) => ({ ...bubble, platform: this.platform }));
    this.log.replaceChildren(...this.bubbles.map((bubble) => this.make(bubble)));
    if (!this.bubbles.length) this.log.append(this.emptyPage());
    this.showLive(transcript.typing, transcript.draft);
    this.toEnd();
  }

  emptyPage() {
    const ask = (text) => element("button", { type: "button", onclick: () => this.actions.ask(text) }, text);
    return element("div", { class: "empty" }, element("p", {}, this.actions.emptyText),
      element("div", { class: "chips", "data-testid": "chips" }, ...SUGGESTIONS.map(ask)));
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  make(bubble) {
    return bubbleElement(bubble, this.bubbles, this.actions);
  }

  update(bubble) {
    bubble.platform = this.platform;
    const index = this.bubbles.findIndex((one) => one.id === bubble.id);
    const drawn = this.log.querySelector(`[data-id="${bubble.id}"]`);
    if (bubble.deleted) {
      if (index >= 0) this.bubbles.splice(index, 1);
      drawn?.remove();
      return;
    }
    if (index >= 0) {
      this.bubbles[index] = bubble;
      drawn?.replaceWith(this.make(bubble));
      return;
    }
    const near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 160;
    this.bubbles.push(bubble);
    this.log.querySelector(".empty")?.remove();
    this.log.append(this.make(bubble));
    if (bubble.direction === "out") this.showLive(false, null);
    if (near || bubble.direction === "in") this.toEnd();
  }

  showLive(typing, draft, seconds = 30) {
    if (!this.live) return;
    clearTimeout(this.timer);
    this.live.replaceChildren();
    if (draft) {
      this.live.append(this.draft(draft));
      this.live.lastChild.scrollTop = this.live.lastChild.scrollHeight; // the newest words, and Stop
    } else if (typing) this.live.append(this.dots());
    if (draft || typing) {
      this.timer = setTimeout(() => this.showLive(false, null), seconds * 1000);
      this.toEnd();
    }
  }

  dots() {
    return element("div", { class: "typing", "data-testid": "typing", role: "status" },
      element("span", { class: "hidden" }, "The bot is typing"), element("i"), element("i"), element("i"));
  }

  draft(draft) {
    const text = draft.text ? formatted(draft.text, draft.entities) : ["Thinking …"];
    const made = element("div", { class: "draft", "data-testid": "draft" }, element("div", { class: "text", dir: "auto" }, ...text));
    if (draft.can_stop) {
      made.append(element("button", { type: "button", class: "quiet small", onclick: () => this.actions.stop() }, "Stop"));
    }
    return made;
  }
}

// Enter sends, Shift and Enter makes a new line; the field grows with its text.
export function setUpComposer(platform, send) {
  const form = document.getElementById(`${platform}-form`);
  const input = document.getElementById(`${platform}-input`);
  const grow = () => {
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, 160)}px`;
  };
  input.addEventListener("input", grow);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value;
    if (!text.trim()) return;
    input.value = "";
    grow();
    input.focus();
    send(text);
  });
  return input;
}
