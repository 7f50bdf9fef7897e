// Before anything is drawn: light or dark, as chosen in this browser; else as the device.
(() => {
  let choice = "system";
  try { choice = localStorage.getItem("theme") || "system"; } catch { /* a browser that keeps nothing */ }
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
