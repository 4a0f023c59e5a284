"use strict";
// Reads times and values back from the plots' own paths, shows them where the pointer or the arrow keys are, and moves the
// cursor of a leg's plots together. Without it the page still says everything.
(() => {
  const tip = document.getElementById("tip");
  const clock = (ms) => new Date(ms).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
  const shown = (milli) => String(Number((milli / 1000).toFixed(3)));

  const place = (x, y) => {
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(6, Math.min(x + 14, innerWidth - box.width - 6))}px`;
    tip.style.top = `${y - box.height - 12 < 6 ? y + 18 : y - box.height - 12}px`;
  };

  // A path of `M x y l dx dy …` in whole steps of time and thousandths below the top.
  const parse = (path) => {
    const times = [], values = [];
    let x = 0, y = 0, absolute = true, first = null;
    for (const token of path.getAttribute("d").match(/[Ml]|-?\d+/g) || []) {
      if (token === "M" || token === "l") { absolute = token === "M"; continue; }
      if (first === null) { first = Number(token); continue; }
      x = absolute ? first : x + first;
      y = absolute ? Number(token) : y + Number(token);
      first = null;
      times.push(x); values.push(y);
    }
    return { times, values };
  };

  const charts = new Map();
  const chartOf = (svg) => {
    if (!charts.has(svg)) {
      const data = svg.dataset, path = svg.querySelector("path.line");
      const spans = (cls) => [...svg.querySelectorAll(`rect.${cls}`)].map((r) => [Number(r.dataset.first), Number(r.dataset.last)]);
      charts.set(svg, {
        first: Number(data.first), last: Number(data.last), step: Number(data.step), top: Number(data.top), span: Number(data.span),
        unit: data.unit, lower: data.lower, upper: data.upper, points: path ? parse(path) : null,
        height: Number(svg.getAttribute("height")), line: svg.querySelector("line.cursor"), dot: svg.querySelector("circle.cursor"),
        unknown: spans("unknown"), open: spans("open"), at: 0,
      });
    }
    return charts.get(svg);
  };

  const nearest = (times, at) => {
    let low = 0, high = times.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (times[middle] < at) low = middle; else high = middle; }
    return Math.abs(times[low] - at) <= Math.abs(times[high] - at) ? low : high;
  };

  const within = (spans, time) => spans.some(([first, last]) => first <= time && time < last);

  const show = (svg, time, withDot) => {
    const chart = chartOf(svg);
    const lost = within(chart.unknown, time);
    svg.classList.add("on");
    let text = null, at = time;
    if (chart.points === null) {
      text = lost ? "unknown" : within(chart.open, time) ? "open" : "shut";
    } else if (chart.points.times.length && !lost) {
      const i = nearest(chart.points.times, (time - chart.first) / chart.step);
      const value = chart.top - chart.points.values[i];
      at = chart.first + chart.points.times[i] * chart.step;
      const past = chart.upper !== undefined && value > Number(chart.upper) ? `\n${shown(value - Number(chart.upper))} above the limit`
        : chart.lower !== undefined && value < Number(chart.lower) ? `\n${shown(Number(chart.lower) - value)} below the limit` : "";
      text = `${shown(value)} ${chart.unit}${past}`;
      chart.dot.setAttribute("cy", chart.height * chart.points.values[i] / chart.span);
    } else {
      text = "no valid reading";
    }
    const x = `${100 * (at - chart.first) / Math.max(1, chart.last - chart.first)}%`;
    chart.line.setAttribute("x1", x); chart.line.setAttribute("x2", x);
    chart.dot.setAttribute("cx", x);
    chart.dot.style.display = withDot && chart.points && !lost ? "" : "none";
    chart.at = at;
    return `${text}\n${clock(at)}`;
  };

  const siblings = (svg) => [...(svg.closest(".leg") || document).querySelectorAll("svg.plot[data-step]")];
  const hide = (svg) => { siblings(svg).forEach((each) => each.classList.remove("on")); tip.hidden = true; };
  const showAll = (svg, time, x, y) => {
    siblings(svg).forEach((each) => { if (each !== svg) show(each, time, true); });
    tip.textContent = show(svg, time, true);
    place(x, y);
  };

  document.querySelectorAll("svg.plot[data-step]").forEach((svg) => {
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect(), chart = chartOf(svg);
      const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
      showAll(svg, chart.first + share * (chart.last - chart.first), event.clientX, event.clientY);
    });
    svg.addEventListener("pointerleave", () => hide(svg));
    svg.addEventListener("blur", () => hide(svg));
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      const chart = chartOf(svg), length = chart.last - chart.first, stride = length / (event.shiftKey ? 20 : 400);
      const time = Math.max(chart.first, Math.min(chart.last, (chart.key ?? chart.first + length / 2) + move * stride));
      chart.key = time;
      const box = svg.getBoundingClientRect();
      showAll(svg, time, box.left + box.width * (time - chart.first) / Math.max(1, length), box.top + 20);
    });
  });

  document.querySelectorAll("[data-tip]").forEach((mark) => {
    mark.addEventListener("pointermove", (event) => { tip.textContent = mark.dataset.tip; place(event.clientX, event.clientY); });
    mark.addEventListener("pointerleave", () => { tip.hidden = true; });
  });

  const unfold = () => document.querySelectorAll("details").forEach((each) => { each.dataset.was = each.open ? "1" : ""; each.open = true; });
  addEventListener("beforeprint", unfold);
  addEventListener("afterprint", () => document.querySelectorAll("details").forEach((each) => { each.open = each.dataset.was === "1"; }));
  const follow = () => { const leg = location.hash.startsWith("#leg-") && document.getElementById(location.hash.slice(1)); if (leg) leg.open = true; };
  addEventListener("hashchange", follow);
  follow();
})();
