// SPDX-License-Identifier: Apache-2.0
// Numbers, times and units for people.

// UCUM's codes that people write otherwise.
const UNITS = { Cel: "°C", "[degF]": "°F", deg: "°", "%": "%", 1: "", "m3/h": "m³/h", m3: "m³", m2: "m²", Ohm: "Ω" };

/** A unit beside a value. What stands in braces is none: it says what is counted, as the name does, too. */
export function unit(code) {
  return /^\{.*\}$/.test(code) ? "" : (UNITS[code] ?? code);
}

/** A number to so many digits, without an exponent where it can be. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en", { useGrouping: value > 9999 });
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

/** A time given in nanoseconds. */
export function duration(nanoseconds) {
  const size = Math.abs(nanoseconds);
  if (size < 1e3) return `${nanoseconds} ns`;
  if (size < 1e6) return `${number(nanoseconds / 1e3, 3)} µs`;
  if (size < 1e9) return `${number(nanoseconds / 1e6, 3)} ms`;
  return `${number(nanoseconds / 1e9, 3)} s`;
}

/** A value with its unit: seconds and bytes in the size that suits. */
export function measured(value, code) {
  if (value === null || value === undefined) return "–";
  if (code === "s") return duration(value * 1e9);
  if (code === "ns") return duration(value);
  if (code === "By") {
    if (value >= 2 ** 20) return `${number(value / 2 ** 20, 3)} MiB`;
    if (value >= 2 ** 10) return `${number(value / 2 ** 10, 3)} KiB`;
    return `${number(value)} B`;
  }
  return `${number(value)} ${unit(code)}`.trim();
}

function two(value, width = 2) {
  return String(value).padStart(width, "0");
}

/** The time of day of milliseconds since 1970. */
export function clock(milliseconds) {
  const time = new Date(milliseconds);
  if (Number.isNaN(time.getTime())) return "";
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${two(time.getMilliseconds(), 3)}`;
}

/** An attribute's value on one line. */
export function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** `1 span`, `2 spans`. */
export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** A name as far as it tells members apart: what stands before the host. */
export function short(name) {
  const part = name.split("@")[0] || name;
  return part.length > 10 ? `${part.slice(0, 9)}…` : part;
}

const SEVERITIES = ["", "trace", "debug", "info", "warn", "error", "fatal"];

/** The word for a severity number of OpenTelemetry, from 1 to 24. */
export function severity(level) {
  return SEVERITIES[Math.min(6, Math.floor((Math.max(0, level) + 3) / 4))];
}
