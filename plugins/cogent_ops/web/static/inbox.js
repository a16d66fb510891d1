// Makes the inbox quicker to use. Without it everything works, too: keys are short cuts, and comparisons are a link away.
"use strict";

const SWITCH = "cogent_ops_keys";

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A browser that keeps nothing has the keys on.
  }
}

// What the two systems say takes a while, so the page does not wait for it.
async function load(section) {
  const into = section.querySelector("[data-into]");
  const show = (name, shown) => { const part = into.querySelector(`[data-${name}]`); if (part) part.hidden = !shown; };
  show("loading", true);
  show("link", false);
  section.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(section.dataset.load, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    into.innerHTML = await answer.text();
  } catch {
    show("loading", false);
    show("failed", true);
  } finally {
    section.removeAttribute("aria-busy");
  }
}

document.querySelectorAll("[data-load]").forEach(load);

// Whoever presses a button twice means once. The server sees to that, too.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  });
});

// Browsers put the eye there by themselves where they know how, but not into the middle.
const important = document.querySelector("[data-focus]");
if (important) {
  important.focus();
  important.scrollIntoView({ block: "center" });
}

// On a phone the list comes first, and what narrows it is a touch away.
const narrow = document.querySelector('[data-narrow="off"]');
if (narrow && window.matchMedia("(max-width: 40rem)").matches) narrow.open = false;

// How many are ticked
const ticked = document.querySelector("[data-ticked]");
if (ticked) {
  const boxes = [...document.querySelectorAll('input[type="checkbox"][form="bulk"]')];
  const tell = () => {
    const on = boxes.filter((box) => box.checked);
    const causes = on.filter((box) => box.name === "cause_of").length;
    const single = on.length - causes;
    const words = [];
    if (causes) words.push(`${causes} cause${causes === 1 ? "" : "s"}`);
    if (single) words.push(`${single} single`);
    ticked.textContent = words.length ? `${words.join(" and ")} ticked` : "";
  };
  document.addEventListener("change", tell);
  tell();
}

// Keys
const dialog = document.getElementById("keys");
const choice = document.getElementById("keys-on");
if (dialog) {
  const hint = document.querySelector(".keys-hint");
  hint.hidden = false;
  document.getElementById("keys-open").addEventListener("click", () => dialog.showModal());
  choice.checked = stored(SWITCH) !== "off";
  choice.addEventListener("change", () => store(SWITCH, choice.checked ? "on" : "off"));
}

function visible(element) {
  return !element.closest("details:not([open])");
}

function step(by) {
  const next = document.querySelector(by > 0 ? 'a[rel="next"]' : 'a[rel="prev"]');
  const rows = [...document.querySelectorAll("[data-row] a[data-open]")].filter(visible);
  if (!rows.length) {
    if (next) next.click();
    return;
  }
  const row = document.activeElement.closest && document.activeElement.closest("[data-row]");
  const at = row ? rows.findIndex((link) => row.contains(link)) : by > 0 ? -1 : rows.length;
  const to = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  to.focus();
  to.scrollIntoView({ block: "nearest" });
}

function tick() {
  const row = document.activeElement.closest && document.activeElement.closest("[data-row]");
  const box = row && row.querySelector('input[type="checkbox"]');
  if (box) box.click();
}

function go(...selectors) {
  for (const selector of selectors) {
    const found = document.querySelector(selector);
    if (!found) continue;
    if (found.tagName === "SUMMARY") {
      found.parentElement.open = true;
      const field = found.parentElement.querySelector("textarea, input:not([type=hidden])");
      (field || found).focus();
    } else {
      found.focus();
    }
    found.scrollIntoView({ block: "nearest" });
    return;
  }
}

const KEYS = {
  "?": () => dialog && dialog.showModal(),
  "/": () => go("#f-q"),
  j: () => step(1),
  k: () => step(-1),
  x: tick,
  u: () => { const back = document.querySelector("[data-back]"); if (back) back.click(); },
  s: () => go(".quick .button"),
  e: () => go("#try .corrections input:not([type=hidden])", "#try button"),
  d: () => go('[data-key="dry_run"]'),
  r: () => go('[data-key="replay"]', '[data-key="approve"]', '[data-key="fixed"]'),
  n: () => go('summary[data-key="note"]'),
};

document.addEventListener("keydown", (event) => {
  const on = event.target;
  const writes = on.matches && on.matches("input:not([type=checkbox]), select, textarea, [contenteditable]");
  if (event.ctrlKey || event.metaKey || event.altKey || writes || event.defaultPrevented) return;
  if (!dialog || dialog.open || !choice.checked) return;
  const act = KEYS[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});
