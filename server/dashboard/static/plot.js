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

  // Where nothing is pointed at, the words below the plot tell the latest.
  function options(element, width) {
    const language = document.documentElement.lang;
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "12px Inter, Rubik, sans-serif" };
    const numbers = new Intl.NumberFormat(language);
    const compact = new Intl.NumberFormat(language, { notation: "compact" });
    const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    return {
      width,
      height: HEIGHT,
      cursor: { y: false, points: { size: 6 } },
      legend: { markers: { width: 0, fill: (plot, index) => (index ? colour(SERIES[index - 1]) : "transparent") } },
      axes: [{ ...axis, values: (plot, splits) => splits.map((at) => clock.format(at * 1000)), space: 90, incrs: STEPS }, { ...axis, values: (plot, splits) => splits.map((count) => compact.format(count)), size: 56 }],
      // One moment alone has no width, and would be drawn as a thousand days: give it a minute.
      scales: { x: { range: (plot, first, last) => (plot.data[0].length === 1 ? [first - 30, first + 30] : [first, last]) }, y: { range: (plot, least, most) => [0, Math.max(1, most * 1.05)] } },
      series: [
        { label: element.dataset.time, value: (plot, at) => clock.format((at ?? plot.data[0].at(-1)) * 1000) },
        ...SERIES.map((name) => ({ label: element.dataset[name], stroke: colour(name), width: 2, points: { show: (plot) => plot.data[0].length === 1 }, value: (plot, count, index) => numbers.format(count ?? plot.data[index].at(-1) ?? 0) })),
      ],
    };
  }

  async function columnsOf(element) {
    const answer = await fetch(element.dataset.plot, { headers: { "HX-Request": "true" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async function draw(element) {
    let plot = null;
    let columns = null;
    const make = () => {
      plot?.destroy();
      plot = columns && columns[0].length ? new uPlot(options(element, element.clientWidth), columns, element) : null;
    };
    new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT })).observe(element);
    document.addEventListener("clarion:theme", make);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", make);
    for (;;) {
      if (!document.hidden) {
        try {
          const found = await columnsOf(element);
          columns = found.columns;
          if (plot) plot.setData(columns);
          else make();
          if (found.is_over && Date.now() / 1000 - (columns[0].at(-1) ?? 0) > 600) return;
        } catch { /* it is asked again */ }
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MILLISECONDS));
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const element of document.querySelectorAll("[data-plot]")) draw(element);
  });
})();
