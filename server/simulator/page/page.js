"use strict";
// What is shown comes from people and templates, so it goes in as text and never as HTML.

const PAUSE_MS = 1000;
const byId = (id) => document.getElementById(id);
let person = "";
let shown = "";

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) {
    element.textContent = text;
    element.dir = "auto";
  }
  return element;
}

async function ask(path, body) {
  const wish = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, wish);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
const spelled = (waId) => (/^\d+$/.test(waId) ? `+${waId}` : waId);

function fate(message) {
  if (message.code !== null) return ["failed", `failed, ${message.code}`];
  const last = message.produced.at(-1);
  return last ? [last, last] : ["", "accepted"];
}

function received(message) {
  const item = make("li");
  const letter = message.letter;
  if (letter === null) {
    item.append(make("p", "foot", `${message.template ?? "A message"}; what it said is no longer kept.`));
  } else {
    if (letter.header) item.append(make("p", "head", letter.header));
    if (letter.text) item.append(make("p", "body", letter.text));
    if (letter.footer) item.append(make("p", "foot", letter.footer));
    const buttons = make("div", "buttons");
    for (const button of letter.buttons) {
      const one = make("button", "", button.text);
      one.type = "button";
      one.disabled = button.payload === null;
      if (one.disabled) one.title = "Opens something on the phone; the business is told nothing.";
      one.addEventListener("click", () => act("taps", { button: button.text, context: message.message_id }));
      buttons.append(one);
    }
    if (letter.buttons.length) item.append(buttons);
  }
  const [kind, words] = fate(message);
  item.append(make("p", `fate ${kind}`, `${time(message.unix_seconds)}, ${words}`));
  return item;
}

function said(voice) {
  const item = make("li", "said");
  const words = voice.type === "user_preferences" ? `Marketing: ${voice.text}` : voice.text;
  item.append(make("p", "body", words));
  const known = voice.acknowledged ? "told by webhook" : "not told yet";
  item.append(make("p", "fate", `${time(voice.unix_seconds)}, ${known}`));
  return item;
}

function showTalk(talk) {
  const now = JSON.stringify(talk);
  if (now === shown) return;
  shown = now;
  byId("who").replaceChildren(make("span", "", talk.name), make("span", "quiet", spelled(talk.wa_id)));
  byId("marketing").textContent = talk.left_marketing ? "Resume marketing" : "Stop marketing";
  byId("marketing").dataset.value = talk.left_marketing ? "resume" : "stop";
  const nothing = talk.received.length + talk.said.length ? "" : "This person has received nothing yet.";
  byId("state").textContent = talk.blocks ? "This person blocks the business." : nothing;
  const items = [
    ...talk.received.map((message) => [message.unix_seconds, received(message)]),
    ...talk.said.map((voice) => [voice.unix_seconds, said(voice)]),
  ];
  items.sort((one, other) => one[0] - other[0]);
  const list = byId("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.replaceChildren(...items.map((item) => item[1]));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function showPeople(people) {
  byId("nobody").hidden = people.length > 0;
  byId("people").replaceChildren(
    ...people.map((one) => {
      const link = make("a");
      link.href = `#${one.wa_id}`;
      if (one.wa_id === person) link.setAttribute("aria-current", "true");
      link.append(make("strong", "", `${one.name}, ${spelled(one.wa_id)}`));
      link.append(make("span", "", one.last));
      const item = make("li");
      item.append(link);
      return item;
    }),
  );
}

async function refresh() {
  try {
    const all = await ask("/_sim/people");
    const webhook = all.callbacks ? "" : " No webhook is set, so nobody is told what happens here.";
    byId("counts").textContent = `${all.accepted.toLocaleString()} messages to ${all.people.toLocaleString()} people.${webhook}`;
    showPeople(all.items);
    const wanted = person;
    if (wanted) {
      const talk = await ask(`/_sim/people/${encodeURIComponent(wanted)}`);
      if (wanted === person) showTalk(talk);
    }
  } catch (error) {
    byId("counts").textContent = "The simulator does not answer. It may have been stopped.";
  }
}

async function act(deed, body) {
  byId("trouble").textContent = "";
  try {
    await ask(`/_sim/people/${encodeURIComponent(person)}/${deed}`, body);
    await refresh();
  } catch (error) {
    byId("trouble").textContent = error.message;
  }
}

function turn() {
  person = decodeURIComponent(location.hash.slice(1));
  shown = "";
  byId("trouble").textContent = "";
  document.body.classList.toggle("talking", Boolean(person));
  byId("talk").hidden = !person;
  byId("choose").hidden = Boolean(person);
  refresh().then(() => { byId("messages").scrollTop = byId("messages").scrollHeight; });
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const digits = byId("phone").value.replace(/[^0-9A-Za-z.]/g, "");
  if (digits) location.hash = digits;
});
byId("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!text) return;
  const answers = byId("context").checked && document.querySelector("#messages li:not(.said)") !== null;
  byId("text").value = "";
  await act("writes", { text, context: answers });
});
byId("marketing").addEventListener("click", (event) => act("marketing", { value: event.target.dataset.value }));
window.addEventListener("hashchange", turn);
turn();
setInterval(refresh, PAUSE_MS);
