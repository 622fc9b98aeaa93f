// Charts as SVG: stacked bars or lines over time, with a cursor for mouse, touch and arrow keys.
import { clock, h, s } from "./dom.js";

const HEIGHT = 250;
const [LEFT, RIGHT, BOTTOM, TOP] = [48, 8, 24, 8];
const ROUND = [1, 2, 2.5, 5, 10];
const DAY_AND_MORE = 90_000; // seconds; from here on times have a day

/** The top of an axis for values up to `n`, and its round steps; whole ones for values that are `counts`. */
function scale(n, counts, count = 4) {
  const raw = (n > 0 ? n : 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ROUND.map((m) => m * power).find((one) =>
    one >= raw * 0.9999 && (!counts || Number.isInteger(one)));
  return { top: step * Math.ceil((n > 0 ? n : 1) / step), step };
}

/** Values without axes, for a cell of a table or a tile. Decoration: the number stands beside it. */
export function sparkline(values, color = 1, area = true) {
  const [width, height] = [100, 30];
  const top = Math.max(...values, 1e-9);
  const steps = Math.max(values.length - 1, 1);
  const points = values.map(
    (v, i) => `${((i / steps) * width).toFixed(1)},${(height - 2 - (v / top) * (height - 4)).toFixed(1)}`);
  const line = points.join(" ");
  return s("svg",
    { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    area && s("polygon", { class: `area fill-${color}`, points: `0,${height} ${line} ${width},${height}` }),
    s("polyline", { class: `line stroke-${color}`, points: line }));
}

const sum = (values) => values.reduce((a, b) => a + (b ?? 0), 0);

/** The highest value at each time, stacked or not. */
function heights({ times, series, stacked }) {
  return times.map((_, i) => {
    const values = series.map((one) => one.values[i] ?? 0);
    return stacked ? sum(values) : Math.max(...values);
  });
}

/** The path of one series as bars on top of `base`, to which it adds. */
function bars(values, base, { xOf, yOf, width }) {
  return values.map((value, i) => {
    const bottom = yOf(base[i]);
    base[i] += value ?? 0;
    const top = yOf(base[i]);
    if (bottom - top < 0.3) return "";
    const left = (xOf(i) - width / 2).toFixed(1);
    return `M${left} ${bottom.toFixed(1)}V${top.toFixed(1)}h${width.toFixed(1)}V${bottom.toFixed(1)}z`;
  }).join("");
}

/** The path of one series as a line; it is interrupted where a value is null. */
function line(values, { xOf, yOf }) {
  let isOpen = false;
  return values.map((value, i) => {
    if (value == null) {
      isOpen = false;
      return "";
    }
    const command = isOpen ? "L" : "M";
    isOpen = true;
    const here = `${xOf(i).toFixed(1)} ${yOf(value).toFixed(1)}`;
    return `${command}${here}${command === "M" && values[i + 1] == null ? "h0.1" : ""}`;
  }).join("");
}

function axes(chart, geometry, when) {
  const { xOf, yOf, inner, right, top, step } = geometry;
  const parts = [];
  for (let v = 0; v <= top + step / 2; v += step) {
    parts.push(
      s("line", { class: v ? "grid" : "axis", x1: LEFT, x2: right, y1: yOf(v), y2: yOf(v) }),
      s("text", { x: LEFT - 8, y: yOf(v) + 4, "text-anchor": "end" }, (chart.axis ?? chart.format)(v)));
  }
  const every = Math.ceil(chart.times.length / Math.max(2, Math.floor(inner / 110)));
  for (let i = Math.floor(every / 2); i < chart.times.length; i += every) {
    const place = { x: xOf(i), y: HEIGHT - 4, "text-anchor": "middle" };
    parts.push(s("text", place, when(chart.times[i])));
  }
  return parts;
}

function geometryOf(chart, width) {
  const count = chart.times.length;
  const inner = width - LEFT - RIGHT;
  const { top, step } = scale(Math.max(...heights(chart)), chart.counts);
  return {
    inner, top, step,
    right: width - RIGHT,
    xOf: (i) => LEFT + (chart.stacked ? (i + 0.5) / count : i / Math.max(count - 1, 1)) * inner,
    yOf: (v) => TOP + (1 - v / top) * (HEIGHT - BOTTOM - TOP),
    width: Math.max(1, inner / count - (inner / count > 5 ? 2 : 0.5)),
    indexAt: (x) => {
      const share = (x - LEFT) / inner;
      return chart.stacked ? Math.floor(share * count) : Math.round(share * (count - 1));
    },
  };
}

function shapes(chart, geometry) {
  const base = chart.times.map(() => 0);
  return chart.series.map((one) =>
    chart.stacked
      ? s("path", { class: `fill-${one.color}`, d: bars(one.values, base, geometry) })
      : s("path", { class: `line stroke-${one.color}`, d: line(one.values, geometry) }));
}

const swatch = (color) => h("i", { className: `swatch fill-${color}` });

function legendOf({ series, stacked, format }) {
  const value = (one) => format(stacked ? sum(one.values) : one.values.findLast((v) => v != null));
  return h("div", { className: "legend" }, series.map((one) =>
    h("span", {}, swatch(one.color), one.name, " ", h("b", {}, value(one)))));
}

/**
 * Draw `series` [{name, values, color}] over `times` (Unix seconds) into `host`.
 *
 * `stacked` sums them as bars, the last on top; otherwise they are lines, with gaps for null. `counts`: the
 * values are whole. `format` writes a value, `axis` one of the axis, `when` a time. `label` names the chart
 * for screen readers. Called again, it redraws.
 */
export function timeChart(host, chart) {
  const { times, series, format, label } = chart;
  const isLong = times.at(-1) - times[0] > DAY_AND_MORE;
  const when = chart.when ?? ((moment) => clock(moment, isLong));
  const plot = h("div", {
    tabIndex: 0,
    role: "slider",
    "aria-label": `${label}. Arrow keys move through time.`,
    "aria-valuemin": 0,
    "aria-valuemax": times.length - 1,
  });
  const tip = h("div", { className: "tip", hidden: true });
  let at = times.length - 1;
  let width = 0;
  let geometry;

  function draw() {
    width = plot.clientWidth;
    if (!width) return;
    geometry = geometryOf(chart, width);
    const frame = { height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" };
    plot.replaceChildren(s("svg", frame,
      axes(chart, geometry, when),
      shapes(chart, geometry),
      s("line", { class: "cross", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" })));
  }

  function point(i, isShown) {
    at = Math.min(Math.max(i, 0), times.length - 1);
    const values = series.map((one) => `${one.name} ${format(one.values[at])}`).join(", ");
    plot.setAttribute("aria-valuenow", at);
    plot.setAttribute("aria-valuetext", `${when(times[at])}: ${values}`);
    tip.hidden = !isShown;
    const cross = plot.querySelector(".cross");
    cross?.setAttribute("visibility", isShown ? "visible" : "hidden");
    if (isShown && cross) showTip(cross);
  }

  function showTip(cross) {
    const x = geometry.xOf(at);
    cross.setAttribute("x1", x);
    cross.setAttribute("x2", x);
    tip.replaceChildren(h("p", {}, when(times[at])), ...[...series].reverse().map((one) =>
      h("div", {}, h("span", {}, swatch(one.color), one.name), h("b", {}, format(one.values[at])))));
    tip.style.left = `${x > width / 2 ? x - tip.offsetWidth - 14 : x + 14}px`;
  }

  host.watch?.disconnect();
  host.watch = new ResizeObserver(() => plot.clientWidth !== width && draw());
  host.replaceChildren(legendOf(chart), plot, tip);
  host.watch.observe(plot);
  draw();
  point(at, false);
  follow(plot, {
    seek: (x) => geometry && point(geometry.indexAt(x), true),
    hide: () => point(at, false),
    step: (key) => ({
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      Home: 0,
      End: times.length - 1,
      PageUp: at - 10,
      PageDown: at + 10,
    })[key],
    point,
  });
}

/** Move the cursor with mouse, touch and keys. */
function follow(plot, { seek, hide, step, point }) {
  const move = (event) => seek(event.clientX - plot.getBoundingClientRect().left);
  plot.addEventListener("pointermove", move);
  plot.addEventListener("pointerdown", move);
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const to = step(event.key);
    if (to === undefined) return;
    event.preventDefault();
    point(to, true);
  });
}
