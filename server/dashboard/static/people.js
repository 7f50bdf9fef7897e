// Contacts: one more row in a form, and a file that is looked into, sent as it is, and followed on its way.
(() => {
  "use strict";

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-add-row]")) button.hidden = false;
    const form = document.querySelector("[data-import]");
    if (form) watchImport(form);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-add-row]");
    if (!button) return;
    const rows = button.closest("fieldset").querySelector("[data-rows]");
    const row = rows.lastElementChild.cloneNode(true);
    for (const field of row.querySelectorAll("input")) field.value = "";
    for (const field of row.querySelectorAll("select")) field.selectedIndex = 0;
    rows.append(row);
    row.querySelector("input").focus();
  });

  const LOOKED_AT = 256 * 1024;

  function watchImport(form) {
    const input = form.elements.file;
    const csrf = form.elements.csrf.value;
    const area = form.querySelector(".drop");
    const box = form.querySelector("[data-upload]");
    const text = form.querySelector("[data-upload-text]");
    const progress = box.querySelector("progress");
    const name = form.querySelector("[data-file-name]");
    const language = document.documentElement.lang;
    const inMegabytes = new Intl.NumberFormat(language, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
    const inKilobytes = new Intl.NumberFormat(language, { style: "unit", unit: "kilobyte", maximumFractionDigits: 0 });
    const size = (bytes) => (bytes < 1e6 ? inKilobytes.format(Math.ceil(bytes / 1e3)) : inMegabytes.format(bytes / 1e6));
    const share = new Intl.NumberFormat(language, { style: "percent" });
    let request = null;

    function isJson(file) { return /\.(ndjson|jsonl)$/i.test(file.name); }

    function address(path) {
      const values = new URLSearchParams();
      for (const field of ["default_country", "phone_column", "tags"]) values.set(field, form.elements[field].value);
      if (path === "") values.set("name", input.files[0].name);
      else values.delete("tags");
      return `/contacts/import${path}?${values}`;
    }

    async function look() {
      const file = input.files[0];
      const shown = document.getElementById("look");
      shown.replaceChildren();
      if (!file) return;
      name.textContent = `${file.name} · ${size(file.size)}`;
      if (isJson(file)) return;
      const headers = { "Content-Type": "text/csv", "X-CSRF-Token": csrf, "HX-Request": "true" };
      const answer = await fetch(address("/look"), { method: "POST", headers, body: file.slice(0, LOOKED_AT) });
      if (answer.ok && file === input.files[0]) shown.innerHTML = await answer.text();
    }

    function ended() {
      request = null;
      box.hidden = true;
    }

    function away() {
      document.getElementById("notices").replaceChildren();
      form.dispatchEvent(new CustomEvent("clarion:away", { bubbles: true }));
    }

    function send() {
      const file = input.files[0];
      request = new XMLHttpRequest();
      request.open("POST", address(""));
      request.setRequestHeader("Content-Type", isJson(file) ? "application/x-ndjson" : "text/csv");
      request.setRequestHeader("X-CSRF-Token", csrf);
      request.setRequestHeader("HX-Request", "true");
      request.upload.addEventListener("progress", (event) => {
        const part = event.total ? event.loaded / event.total : 0;
        progress.value = part;
        text.textContent = `${share.format(part)} · ${size(event.loaded)}`;
      });
      request.upload.addEventListener("load", () => { text.textContent = form.dataset.done; });
      request.addEventListener("load", () => {
        if (request.status < 400) { location.href = new URL(request.responseURL).pathname; return; }
        const { responseText } = request;
        // What is said by something that stands before Clarion is no words of ours.
        const isOurs = request.getResponseHeader("HX-Retarget") !== null;
        ended();
        if (!isOurs) { away(); return; }
        document.getElementById("notices").innerHTML = responseText;
        document.getElementById("notices").scrollIntoView({ block: "center" });
      });
      request.addEventListener("error", () => { ended(); away(); });
      request.addEventListener("abort", ended);
      box.hidden = false;
      progress.value = 0;
      request.send(file);
    }

    input.addEventListener("change", look);
    form.elements.phone_column.addEventListener("change", look);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      if (!request) send();
    });
    form.querySelector("[data-upload-stop]").addEventListener("click", () => request?.abort());
    area.addEventListener("dragover", (event) => { event.preventDefault(); area.dataset.over = ""; });
    area.addEventListener("dragleave", () => delete area.dataset.over);
    area.addEventListener("drop", (event) => {
      event.preventDefault();
      delete area.dataset.over;
      if (!event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      look();
    });
  }
})();
