// What every page does: times in the reader's zone, dialogs, keys, notices. Everything works without it, with less comfort.
(() => {
  "use strict";
  const language = document.documentElement.lang;
  // What is short in Hebrew reads as "in min. (1)".
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: language === "he" ? "long" : "short" });
  // The day has 24 hours in every language, as where the server writes a time.
  const said = (options) => new Intl.DateTimeFormat(language, { hourCycle: "h23", ...options });
  const exact = said({ dateStyle: "medium", timeStyle: "medium" });
  const short = said({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const dated = said({ year: "numeric", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const clock = said({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function ago(instant) {
    const seconds = (instant - Date.now()) / 1000;
    if (Math.abs(seconds) < 10) return document.body.dataset.justNow;
    if (Math.abs(seconds) > 7 * 86400) return short.format(instant);
    const [unit, size] = STEPS.find(([, length]) => Math.abs(seconds) >= length);
    // Hebrew says one in a word, and then once more as a number in brackets.
    return relative.format(Math.round(seconds / size), unit).replace(/\s\(1\)$/, "");
  }

  function dayAndTime(instant) {
    return (instant.getFullYear() === new Date().getFullYear() ? short : dated).format(instant);
  }

  function timeOfDay(instant) {
    return instant.toDateString() === new Date().toDateString() ? clock.format(instant) : short.format(instant);
  }

  function showTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const instant = new Date(element.dateTime);
      element.title = exact.format(instant);
      const look = element.dataset.look;
      const text = look === "exact" ? dayAndTime(instant) : look === "clock" ? timeOfDay(instant) : ago(instant);
      if (element.textContent !== text) element.textContent = text;
    }
  }

  function openDialogs(root) {
    for (const dialog of root.querySelectorAll("dialog[data-show]")) {
      dialog.removeAttribute("data-show");
      dialog.showModal();
    }
  }

  // Where the state of a broadcast is another one, what tells of it below is asked for at once.
  let state;
  function tellNews() {
    const now = document.querySelector("[data-state]")?.dataset.state;
    if (state !== undefined && now !== undefined && now !== state) document.dispatchEvent(new Event("clarion:news"));
    state = now ?? state;
  }

  function refresh(root) {
    showTimes(root);
    openDialogs(root);
    tellNews();
  }

  // What asks by itself again and again asks only while somebody looks, and at once when they come back.
  document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden && event.detail.ctx.sourceEvent?.type === "every") event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll('[hx-trigger*="every"]')) element.dispatchEvent(new Event("every"));
  });

  // The menu floats over the page: it goes when somebody turns to something else, or presses Escape.
  function closeMenu() {
    const menu = document.querySelector("details.account[open]");
    if (menu) menu.open = false;
    return menu;
  }
  document.addEventListener("focusin", (event) => { if (!event.target.closest("details.account, dialog")) closeMenu(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeMenu()?.querySelector("summary").focus(); });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) document.getElementById(opener.dataset.open)?.showModal();
    const dismissed = event.target.closest("[data-dismiss]");
    if (dismissed) dismissed.closest(".notice").remove();
    if (event.target instanceof HTMLDialogElement && event.target.open) event.target.close();
    const back = event.target.closest("[data-back]");
    if (back && history.length > 1) { event.preventDefault(); history.back(); }
    if (!event.target.closest("details.account")) closeMenu();
    const copied = event.target.closest("[data-copy]");
    if (copied) navigator.clipboard.writeText(copied.dataset.copy).then(() => { copied.dataset.copied = ""; });
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.submit();
    if (event.target.matches("[data-theme-choice]")) {
      const choice = event.target.value;
      try { localStorage.setItem("theme", choice); } catch { /* a browser that keeps nothing */ }
      if (choice === "system") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = choice;
      document.dispatchEvent(new Event("clarion:theme"));
    }
  });

  // A form is sent once, however often its button is pressed; coming back to the page makes it new.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent !== undefined) event.preventDefault();
    event.target.dataset.sent = "";
    setTimeout(() => event.target.querySelectorAll("button").forEach((button) => button.setAttribute("aria-disabled", "true")));
  });
  function makeNew(form) {
    delete form.dataset.sent;
    form.querySelectorAll("button[aria-disabled]").forEach((button) => button.removeAttribute("aria-disabled"));
  }
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(makeNew));
  // A form that asks for a part of its page stays, whatever came of it.
  document.addEventListener("htmx:finally:request", (event) => {
    if (event.target instanceof HTMLFormElement) setTimeout(() => makeNew(event.target));
  });

  // Where nobody answers, or only what stands before Clarion does, the page stays as it is and says so, where somebody
  // looks, until they are answered. What asks by itself keeps quiet and asks again. Clarion's own refusals have words.
  const AWAY = [502, 503, 504];
  function isAway(response) { return AWAY.includes(response.status) && !response.headers.has("HX-Retarget"); }
  function showAway(asked, isGone) {
    if (!asked.sourceEvent?.isTrusted) return;
    document.querySelectorAll("[data-away]").forEach((notice) => notice.remove());
    if (isGone) sayAway(asked.sourceElement);
  }
  function sayAway(source) {
    const place = source.closest("dialog[open]") ?? document.getElementById("notices");
    place.prepend(document.getElementById("away").content.cloneNode(true));
    place.firstElementChild.scrollIntoView({ block: "nearest" });
  }
  // From a script that asks by itself, as for a file.
  document.addEventListener("clarion:away", (event) => sayAway(event.target));
  document.addEventListener("htmx:before:response", (event) => {
    const { ctx } = event.detail;
    if (isAway(ctx.response)) event.preventDefault();
    showAway(ctx, isAway(ctx.response));
  });
  document.addEventListener("htmx:error", (event) => {
    const { ctx } = event.detail;
    if (ctx && !ctx.response) showAway(ctx, true);
  });
  // What Clarion refuses is said on the page, not behind the question that led to it.
  document.addEventListener("htmx:response:error", (event) => {
    if (event.detail.ctx.hx.retarget === "#notices") document.querySelector("dialog[open]")?.close();
  });

  let first = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const key = event.key;
    if (first === "g" && (key === "b" || key === "o")) location.href = key === "b" ? "/broadcasts" : "/";
    first = key;
    if (key === "?") document.getElementById("keys")?.showModal();
    if (key !== "/" && key !== "c") return;
    const wanted = document.querySelector(`[data-key="${key}"]`);
    if (!wanted && key === "/") return;
    event.preventDefault();
    if (key === "/") wanted.focus();
    else location.href = wanted ? wanted.href : "/compose";
  });

  document.addEventListener("htmx:after:swap", () => refresh(document));
  document.addEventListener("htmx:sse:after:message", () => refresh(document));
  document.addEventListener("htmx:sse:error", () => showLost(true));
  document.addEventListener("htmx:sse:after:connection", () => showLost(false));
  function showLost(isLost) {
    const line = document.getElementById("stream-lost");
    if (line) line.hidden = !isLost;
  }

  document.addEventListener("DOMContentLoaded", () => {
    refresh(document);
    setInterval(() => showTimes(document), 10000);
    const choice = document.querySelector("[data-theme-choice]");
    if (choice) choice.value = document.documentElement.dataset.theme || "system";
  });
})();
