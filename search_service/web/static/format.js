// Formats numbers, times and names for people.

const count = new Intl.NumberFormat("en");

export const number = (value) => count.format(Number(value ?? 0));
/** A probability; one that is estimated from a sample is never 0 or 1. */
export const confidence = (p) => (p > 0.99 ? "over 99 %" : p < 0.01 ? "below 1 %" : percent(p));
/** A landmark's name; folders often have _ for spaces. */
export const landmarkName = (landmark) => landmark.replaceAll("_", " ");
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
export const plural = (n, one, many) => `${number(n)} ${Number(n) === 1 ? one : many}`;

/** Milliseconds of a duration in protobuf's JSON, "0.0123s". */
export const milliseconds = (duration) => (duration ? 1000 * Number.parseFloat(duration) : null);

export function durationText(duration) {
  const ms = milliseconds(duration);
  if (ms === null) return "";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function timeLeft(duration) {
  const seconds = Math.round(Number.parseFloat(duration));
  if (seconds < 90) return `${seconds} s left`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${Math.round(seconds / 3600)} h left`;
}

export function timeAgo(time) {
  const date = new Date(time);
  const ago = (Date.now() - date.getTime()) / 1000;
  if (ago < 60) return "just now";
  if (ago < 3600) return `${Math.round(ago / 60)} min ago`;
  if (ago < 86400) return `${Math.round(ago / 3600)} h ago`;
  return date.toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}
