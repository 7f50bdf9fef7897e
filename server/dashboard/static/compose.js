// Writing a broadcast: a file that is sent as it is read, times in the reader's zone, one more condition.
(() => {
  "use strict";
  const language = document.documentElement.lang;
  const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });

  const said = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => values[name]);

  // --- the file: the browser sends it from the disk, the server tells how far it is
  function upload(form) {
    const field = form.querySelector("input[type=file]");
    const file = field.files[0];
    if (!file) return;
    const { sending, reading, stopped, lost, next } = form.dataset;
    const progress = form.querySelector("[data-progress]");
    const bar = progress.querySelector("rect");
    const line = progress.querySelector("[data-progress-text]");
    const result = form.querySelector("[data-result]");
    const button = form.querySelector(".button.primary");
    const query = new URLSearchParams({ country: form.elements.country.value, phone_column: form.elements.phone_column.value });
    const request = new XMLHttpRequest();
    let read = 0, began = 0, isOver = false;

    const show = (share, text) => {
      bar.setAttribute("width", String(1000 * share));
      bar.parentNode.setAttribute("aria-valuenow", String(Math.round(100 * share)));
      line.textContent = text;
    };
    const end = (html, isText) => {
      if (isOver) return;
      isOver = true;
      progress.hidden = true;
      button.disabled = false;
      removeEventListener("beforeunload", ask);
      if (isText) result.textContent = html;
      else result.innerHTML = html;
    };
    // Sending is the first half of the bar, reading the second.
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) show(event.loaded / event.total / 2, said(sending, { percent: percent.format(event.loaded / event.total) }));
    };
    request.upload.onload = () => { began = performance.now(); };
    request.onprogress = () => {
      if (request.status !== 200) return;
      const pieces = request.responseText.split("\n\n");
      for (; read < pieces.length - 1; read += 1) hear(pieces[read]);
    };
    function hear(piece) {
      const name = /^event: (.*)$/m.exec(piece)?.[1];
      const text = piece.split("\n").filter((row) => row.startsWith("data: ")).map((row) => row.slice(6)).join("\n");
      if (name === "progress") {
        const news = JSON.parse(text);
        const seconds = Math.max(0.05, (performance.now() - began) / 1000);
        const rate = news.rows_count / seconds;
        show(0.5 + news.share / 2, said(reading, { rows: whole.format(news.rows_count), rate: whole.format(rate) }));
      } else if (name === "taken") {
        isOver = true;
        removeEventListener("beforeunload", ask);
        location.assign(next);
      } else if (name === "refused") end(text, false);
    }
    request.onload = () => {
      const isOurs = request.getResponseHeader("HX-Retarget") !== null;
      if (request.status >= 400) end(isOurs ? request.responseText : lost, !isOurs);
      else { request.onprogress(); end(lost, true); }
    };
    request.onerror = () => end(lost, true);
    request.onabort = () => end(stopped, true);
    const ask = (event) => event.preventDefault();
    form.querySelector("[data-stop]").onclick = () => request.abort();
    addEventListener("beforeunload", ask);
    result.textContent = "";
    button.disabled = true;
    progress.hidden = false;
    show(0, said(sending, { percent: percent.format(0) }));
    request.open("POST", `${form.dataset.upload}?${query}`);
    request.setRequestHeader("Content-Type", "text/csv");
    request.setRequestHeader("X-CSRF-Token", form.elements.csrf.value);
    request.setRequestHeader("HX-Request", "true");
    request.send(file);
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-upload]")) return;
    event.preventDefault();
    upload(event.target);
  });

  function showFile(input) {
    const name = input.closest(".drop").querySelector("[data-file-name]");
    if (input.files[0]) name.textContent = input.files[0].name;
  }
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const drop = event.target instanceof Element ? event.target.closest(".drop") : null;
      if (!drop) return;
      event.preventDefault();
      drop.toggleAttribute("data-over", kind === "dragover");
      if (kind !== "drop" || !event.dataTransfer.files.length) return;
      const input = drop.querySelector("input");
      input.files = event.dataTransfer.files;
      showFile(input);
    });
  }

  // --- when: what is typed is in the reader's zone, and sent with its offset
  function keepInstant(field) {
    const at = document.querySelector("[data-at]");
    const instant = field.value ? new Date(field.value) : null;
    if (at) at.value = instant && !Number.isNaN(instant.getTime()) ? instant.toISOString() : "";
  }
  function showInstant(field) {
    const pad = (number) => String(number).padStart(2, "0");
    if (field.dataset.instant) {
      const at = new Date(field.dataset.instant);
      field.value = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${pad(at.getHours())}:${pad(at.getMinutes())}`;
    }
    const line = document.querySelector("[data-zone]");
    line.textContent = said(line.dataset.said, { zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
    keepInstant(field);
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches(".drop input")) showFile(event.target);
    if (event.target.matches("[data-instant]")) keepInstant(event.target);
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-instant]")) keepInstant(event.target);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-add-condition]");
    if (!button) return;
    const last = button.previousElementSibling;
    const added = last.cloneNode(true);
    added.querySelectorAll("input").forEach((input) => { input.value = ""; });
    added.querySelector(".wrong-text")?.remove();
    last.after(added);
    added.querySelector("input").focus();
  });

  // Whoever is shown stays, whatever is saved meanwhile.
  document.addEventListener("htmx:after:swap", () => {
    const shown = document.querySelector("[data-shown-id]");
    const field = document.querySelector("[data-shown]");
    if (shown && field) field.value = shown.dataset.shownId;
  });

  document.addEventListener("DOMContentLoaded", () => {
    const field = document.querySelector("[data-instant]");
    if (field) showInstant(field);
  });
})();
