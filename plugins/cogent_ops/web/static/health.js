// Keeps Sync Health up to date in place: where somebody reads, and what they have selected, stays as it is.
// Without this file the page is whole, and can be told to load itself again.
"use strict";

(() => {
  const live = document.getElementById("live");
  const away = document.getElementById("away");
  const said = document.getElementById("said");
  for (const note of document.querySelectorAll(".with-script")) note.hidden = false;
  const seconds = Number(live?.dataset.refresh);
  if (!seconds) return;
  let loaded = Date.now();

  // A place that is found again in a page made anew: the same words at the same kind of thing.
  const nameOf = (thing) =>
    [thing.tagName, thing.id, thing.getAttribute("href"), thing.getAttribute("aria-label")].join(" ");

  const isBusy = () => {
    const selection = document.getSelection();
    return document.hidden || (selection && !selection.isCollapsed && live.contains(selection.anchorNode));
  };

  const swap = (fresh) => {
    const focused = live.contains(document.activeElement) ? document.activeElement : null;
    const name = focused && nameOf(focused);
    const twins = focused ? [...live.querySelectorAll(focused.tagName)].filter((one) => nameOf(one) === name) : [];
    const place = twins.indexOf(focused);
    const open = [...live.querySelectorAll("details[open][id]")].map((one) => one.id);
    const scrolled = [...live.querySelectorAll(".scroll")].map((one) => one.scrollLeft);

    live.replaceChildren(...fresh.childNodes);

    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    live.querySelectorAll(".scroll").forEach((one, number) => {
      one.scrollLeft = scrolled[number] || 0;
    });
    if (focused) {
      const same = [...live.querySelectorAll(focused.tagName)].filter((one) => nameOf(one) === name);
      (same[place] ?? same[0] ?? document.getElementById("main")).focus({ preventScroll: true });
    }
  };

  const sentence = () => live.querySelector("[data-said]")?.textContent ?? "";

  const refresh = async () => {
    if (isBusy()) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.statusText);
      away.hidden = true;
      live.classList.remove("old");
      loaded = Date.now();
      if (isBusy()) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh || fresh.innerHTML === live.innerHTML) return;
      const before = sentence();
      swap(fresh);
      // Read aloud only what is new.
      if (sentence() !== before) said.textContent = sentence();
    } catch {
      // Once may be chance. After that nobody should take old numbers for new ones.
      if (Date.now() - loaded < 2.5 * seconds * 1000) return;
      away.hidden = false;
      live.classList.add("old");
    }
  };

  setInterval(refresh, seconds * 1000);
  document.addEventListener("visibilitychange", refresh);
})();
