"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const report = read("report-data");
  const charts = read("chart-data");
  const ends = report.interval_ends_seconds;
  const duration = report.run.duration_ms / 1000;

  // Figures, as src/report/figures.rs prints them.
  const two = (number) => String(number).padStart(2, "0");
  const clock = (seconds) => {
    const sign = seconds < 0 ? "-" : "";
    const s = Math.floor(Math.abs(seconds));
    const days = s >= 86400 ? Math.floor(s / 86400) + "d " : "";
    return sign + days + two(Math.floor(s % 86400 / 3600)) + ":" + two(Math.floor(s % 3600 / 60)) + ":" + two(s % 60);
  };
  const digits = (value) => value === 0 ? "0" : Math.abs(value) >= 1000
    ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
  const figure = {
    count: digits,
    rate: (value) => digits(value) + "/s",
    latency: (value) => value >= 999.5 ? digits(value / 1000) + " s" : digits(value) + " ms",
  };

  // Charts: one crosshair through all of them.
  const at = (pointer) => pointer.split("/").slice(1).reduce((node, key) => node[key], report);
  const valueOf = (series, interval) => {
    const values = series.sources.map((source) => at(source)[interval]).filter((value) => value !== null && value !== undefined);
    return values.length ? values.reduce((sum, value) => sum + value, 0) : null;
  };
  const intervalAt = (seconds) => {
    let low = 0, high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] < seconds) low = middle + 1; else high = middle;
    }
    return low;
  };
  const readout = document.getElementById("readout");
  const figures = [...document.querySelectorAll("figure[data-chart]")].map((element) => {
    const panels = charts[Number(element.dataset.chart)];
    const svg = element.querySelector("svg");
    const lines = panels.map((panel) => {
      const line = document.createElementNS(svg.namespaceURI, "line");
      line.setAttribute("class", "cross");
      line.setAttribute("y1", panel.top);
      line.setAttribute("y2", panel.bottom);
      line.style.display = "none";
      svg.append(line);
      return line;
    });
    return { svg, panels, lines };
  });
  const cross = (seconds) => {
    for (const { panels, lines } of figures) {
      lines.forEach((line, index) => {
        const { left, right } = panels[index];
        line.style.display = seconds === null ? "none" : "";
        if (seconds === null) return;
        const x = left + seconds / duration * (right - left);
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
      });
    }
    if (seconds === null) readout.hidden = true;
  };
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const show = (event, panels, interval) => {
    const table = element("table");
    for (const panel of panels) {
      for (const series of panel.series) {
        const value = valueOf(series, interval);
        const row = table.insertRow();
        const name = row.insertCell();
        const swatch = element("i");
        swatch.style.background = series.color === "#1a1a1a" ? "currentColor" : series.color;
        name.append(swatch, panel.title.replace(/ \[.*/, "") + " " + series.name);
        row.insertCell().textContent = value === null ? "-" : figure[series.unit](value);
      }
    }
    const start = interval > 0 ? ends[interval - 1] : 0;
    readout.replaceChildren(element("b", clock(start) + " to " + clock(ends[interval])), table);
    readout.hidden = false;
    const room = document.documentElement.clientWidth - readout.offsetWidth - 12;
    const right = event.clientX + 18;
    readout.style.left = (right <= room ? right : Math.max(0, event.clientX - readout.offsetWidth - 18)) + window.scrollX + "px";
    readout.style.top = event.clientY + 14 + window.scrollY + "px";
  };
  for (const { svg, panels } of figures) {
    if (!panels.length || !ends.length) continue;
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      const { left, right } = panels[0];
      if (x < left || x > right) return cross(null);
      const seconds = (x - left) / (right - left) * duration;
      cross(seconds);
      show(event, panels, intervalAt(seconds));
    });
    svg.addEventListener("pointerleave", () => cross(null));
  }

  // The log: filtered here, since it may be long.
  const LINES = 300;
  const form = document.getElementById("log-filter");
  const body = document.getElementById("log-lines");
  const more = document.getElementById("log-more");
  let isAll = false;
  const fill = (parent, values) => {
    for (const value of [...new Set(values)].sort()) {
      const option = element("option", value);
      option.value = value;
      parent.append(option);
    }
  };
  fill(form.elements.actor, report.log.map((entry) => entry.actor));
  fill(document.getElementById("log-objects"), report.log.map((entry) => entry.object).slice(0, 2000));
  const has = (text, part) => text.toLowerCase().includes(part.toLowerCase());
  const draw = () => {
    const { text, actor, object, warnings } = form.elements;
    const found = report.log.filter((entry) =>
      (!actor.value || entry.actor === actor.value)
      && (!object.value || has(entry.object, object.value))
      && (!warnings.checked || entry.is_warning)
      && (!text.value || has([entry.actor, entry.object, entry.reason, entry.message].join(" "), text.value)));
    const shown = isAll ? found : found.slice(0, LINES);
    body.replaceChildren(...shown.map((entry) => {
      const row = element("tr", undefined, entry.is_warning ? "warning" : "");
      row.append(element("td", clock(entry.at_seconds)), element("td", entry.actor), element("td", entry.object),
        element("td", entry.reason), element("td", entry.message));
      row.addEventListener("pointerenter", () => cross(Math.min(Math.max(entry.at_seconds, 0), duration)));
      row.addEventListener("pointerleave", () => cross(null));
      return row;
    }));
    document.getElementById("log-count").textContent =
      digits(shown.length) + " of " + digits(found.length) + (found.length < report.log.length ? " found in " + digits(report.log.length) : "") + " lines";
    more.hidden = shown.length === found.length;
  };
  form.addEventListener("input", draw);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { isAll = true; draw(); });
  window.addEventListener("beforeprint", () => { if (report.log.length <= 5000) { isAll = true; draw(); } });
  draw();
})();
