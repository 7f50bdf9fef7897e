// The counts of a broadcast over time. The numbers come as columns; the colours are those of the style sheet.
(() => {
  "use strict";
  const EVERY_MILLISECONDS = 4000;
  const HEIGHT = 220;
  const SERIES = ["sent", "delivered", "read", "failed"];

  // Steps of the time, in seconds: the clock below shows no smaller ones.
  const STEPS = [1, 2, 5, 10, 15, 30, ...[1, 2, 5, 10, 15, 30].map((n) => n * 60), ...[1, 2, 3, 6, 12, 24, 48, 168].map((n) => n * 3600)];

  function colour(name) {
    const probe = document.createElement("i");
    probe.dataset.tone = name;
    probe.className = "probe";
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  // Times under the plot: the minute in full, what lies between two as :30, and a new day by its date.
  function clock(language) {
    const said = (options) => new Intl.DateTimeFormat(language, { hourCycle: "h23", ...options });
    const minute = said({ hour: "2-digit", minute: "2-digit" });
    const second = said({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const day = said({ day: "numeric", month: "short" });
    const moment = said({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
    return {
      inFull: (at) => (new Date(at).toDateString() === new Date().toDateString() ? second : moment).format(at),
      below: (splits) => splits.map((at, place) => {
        const when = new Date(at * 1000);
        if (when.getSeconds()) return place ? `:${String(when.getSeconds()).padStart(2, "0")}` : second.format(when);
        const isNewDay = place && when.toDateString() !== new Date(splits[place - 1] * 1000).toDateString();
        return (isNewDay ? day : minute).format(when);
      }),
    };
  }

  // What has not failed is not drawn: a red line at nothing would be the first thing that is seen.
  const seriesOf = (columns) => SERIES.filter((name, place) => name !== "failed" || columns[place + 1].some(Boolean));

  // The words below the plot: what is pointed at, else the latest.
  function legendOf(element, shown, times) {
    const numbers = new Intl.NumberFormat(document.documentElement.lang, { useGrouping: "always" });
    const list = document.createElement("ul");
    list.className = "legend";
    const values = shown.map((name) => {
      const item = document.createElement("li");
      const mark = document.createElement("i");
      const value = document.createElement("b");
      mark.dataset.tone = name;
      item.append(mark, ` ${element.dataset[name]} `, value);
      list.append(item);
      return value;
    });
    const when = document.createElement("li");
    when.className = "when";
    list.append(when);
    const tell = (plot) => {
      const place = plot.cursor.idx ?? plot.data[0].length - 1;
      values.forEach((value, index) => { value.textContent = numbers.format(plot.data[index + 1][place] ?? 0); });
      when.textContent = times.inFull(plot.data[0][place] * 1000);
    };
    return { list, tell };
  }

  function options(element, width, shown, times, tell) {
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "12px Inter, Rubik, sans-serif" };
    const compact = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact" });
    return {
      width,
      height: HEIGHT,
      cursor: { y: false, points: { size: 6 } },
      legend: { show: false },
      hooks: { setCursor: [tell], setData: [tell] },
      axes: [{ ...axis, values: (plot, splits) => times.below(splits), space: 80, size: 34, incrs: STEPS }, { ...axis, values: (plot, splits) => splits.map((count) => compact.format(count)), size: 56 }],
      // One moment alone has no width, and would be drawn as a thousand days: give it a minute.
      scales: { x: { range: (plot, first, last) => (plot.data[0].length === 1 ? [first, first + 60] : [first, last]) }, y: { range: (plot, least, most) => [0, Math.max(1, most * 1.05)] } },
      series: [{}, ...shown.map((name) => ({ stroke: colour(name), width: 2, points: { show: (plot) => plot.data[0].length === 1 } }))],
    };
  }

  async function columnsOf(element) {
    const answer = await fetch(element.dataset.plot, { headers: { "HX-Request": "true" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async function draw(element) {
    const times = clock(document.documentElement.lang);
    let plot = null;
    let columns = null;
    let drawn = "";
    let ahead = 0; // seconds that the server's clock is ahead of this one
    const show = () => {
      if (!columns?.[0].length) return;
      const shown = seriesOf(columns);
      const data = [columns[0], ...shown.map((name) => columns[SERIES.indexOf(name) + 1])];
      if (plot && drawn === shown.join()) { plot.setData(data); return; }
      plot?.destroy();
      element.replaceChildren();
      drawn = shown.join();
      const legend = legendOf(element, shown, times);
      plot = new uPlot(options(element, element.clientWidth, shown, times, legend.tell), data, element);
      element.append(legend.list);
    };
    const anew = () => { drawn = ""; show(); };
    // The page says a new state again and again: the last point is the one that the headline tells.
    const counted = () => document.querySelector("[data-counts]")?.dataset.counts.split(" ").map(Number);
    const last = () => columns.slice(1).map((counts) => counts.at(-1));
    const follow = () => {
      const said = counted();
      if (!said || !columns?.[0].length || said.join() === last().join()) return;
      const sum = (counts) => counts.reduce((one, other) => one + other, 0);
      if (sum(said) < sum(last())) return; // the columns were asked for later
      columns[0].push(Math.max(columns[0].at(-1) + 0.001, Date.now() / 1000 + ahead));
      said.forEach((count, place) => columns[place + 1].push(count));
      show();
    };
    new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT })).observe(element);
    document.addEventListener("clarion:theme", anew);
    document.addEventListener("htmx:sse:after:message", follow);
    document.addEventListener("htmx:after:swap", follow);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
    for (;;) {
      if (!document.hidden) {
        try {
          const found = await columnsOf(element);
          columns = found.columns;
          ahead = found.now - Date.now() / 1000;
          show();
          // The headline must not say less than the line below it.
          if (columns[0].length && counted()?.join() !== last().join()) document.dispatchEvent(new Event("clarion:behind"));
          if (found.is_over && found.now - (columns[0].at(-1) ?? 0) > 600) return;
        } catch { /* it is asked again */ }
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MILLISECONDS));
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const element of document.querySelectorAll("[data-plot]")) draw(element);
  });
})();
