// What improves the console's pages where scripts run. Every page works without.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // The reader's time zone, for dates written by the server: shown from the next page on.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("thatch-zone=" + encodeURIComponent(zone)))
    document.cookie = "thatch-zone=" + encodeURIComponent(zone) + "; path=/; max-age=31536000; samesite=lax; secure";

  // A form whose check boxes share a name sends them as one value, so that addresses stay short.
  for (const form of all("form[data-join]"))
    form.addEventListener("formdata", (e) => {
      const name = form.dataset.join, values = e.formData.getAll(name);
      e.formData.delete(name);
      if (values.length) e.formData.set(name, values.join(","));
    });

  // Empty fields of a filter do not belong into an address.
  for (const form of all('form[method="get"]'))
    form.addEventListener("formdata", (e) => {
      for (const [name, value] of [...e.formData.entries()]) if (value === "") e.formData.delete(name);
    });

  // Rows that are chosen.
  for (const form of all("form.rows")) {
    const boxes = all('input[name="key"]', form), every = form.querySelector("[data-all]");
    const chosen = form.querySelector("[data-chosen]");
    const count = () => {
      const n = boxes.filter((b) => b.checked).length;
      if (every) { every.checked = n > 0 && n === boxes.length; every.indeterminate = n > 0 && n < boxes.length; }
      if (chosen) { chosen.hidden = n === 0; chosen.textContent = n; }
      for (const b of boxes) b.closest("tr").classList.toggle("picked", b.checked);
    };
    if (every) every.addEventListener("change", () => { for (const b of boxes) b.checked = every.checked; count(); });
    let last = null;
    form.addEventListener("click", (e) => {
      const at = boxes.indexOf(e.target);
      if (at < 0) return;
      if (e.shiftKey && last !== null)
        for (let i = Math.min(at, last); i <= Math.max(at, last); i++) boxes[i].checked = e.target.checked;
      last = at;
      count();
    });
    form.addEventListener("change", count);
    count();
  }

  // Enter in a field of an action presses the button beside it. Without script it presses none.
  document.addEventListener("keydown", (e) => {
    const action = e.key === "Enter" && !e.isComposing && e.target.matches(".action input") && e.target.closest(".action");
    if (!action) return;
    e.preventDefault();
    action.querySelector("button").click();
  });

  // A question before what cannot be taken back.
  document.addEventListener("click", (e) => {
    const button = e.target.closest("[data-confirm]");
    if (button && !window.confirm(button.dataset.confirm)) e.preventDefault();
  });

  // One open panel at a time; Escape and a click elsewhere close it.
  const panels = all("details.panel, details.help");
  document.addEventListener("click", (e) => {
    for (const p of panels) if (p.open && !p.contains(e.target)) p.open = false;
  });

  // What changes by itself is fetched again, and put in place only where it differs. Logs stay where they were scrolled to,
  // at their end or elsewhere, and the focus stays on the button it was on, by their ids.
  const exchange = (part, fresh) => {
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const logs = all(".log[id]", part).map((log) => [log.id, log.scrollTop, log.scrollTop + log.clientHeight >= log.scrollHeight - 4]);
    part.replaceChildren(...fresh.childNodes);
    for (const [id, top, end] of logs) {
      const log = document.getElementById(id);
      if (log) log.scrollTop = end ? log.scrollHeight : top;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };
  // The page is fetched once for all parts that are due. What somebody is writing in stays.
  const refresh = async (...parts) => {
    const busy = (part) => part.contains(document.activeElement) && part.querySelector("input:focus, select:focus, textarea:focus");
    const due = document.hidden ? [] : parts.filter((part) => !busy(part));
    if (!due.length) return true;
    const answer = await fetch(location.href, { headers: { "X-Part": due.map((part) => part.id).join(" ") } });
    if (!answer.ok || answer.redirected) { for (const part of due) delete part.dataset.refresh; return false; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of due) {
      const fresh = page.getElementById(part.id);
      if (fresh && fresh.innerHTML !== part.innerHTML) exchange(part, fresh);
      if (fresh?.dataset.refresh === undefined) delete part.dataset.refresh;
    }
    return due.some((part) => part.dataset.refresh !== undefined);
  };
  // A form whose answer is worked out while it is filled in: the address keeps what it says.
  for (const form of all("form[data-live]")) {
    const parts = form.dataset.live.split(" ").map((id) => document.getElementById(id));
    let waiting;
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        const says = [...new FormData(form)].filter(([name, value]) => value !== "" && name !== "token" && name !== "do");
        history.replaceState(null, "", location.pathname + "?" + new URLSearchParams(says));
        refresh(...parts).catch(() => {});
      }, 400);
    });
  }
  // One timer for the page, as often as the part that changes most often.
  const again = async () => {
    const now = Date.now(), due = all("[data-refresh]").filter((part) => !(Number(part.dataset.due) > now + 500));
    for (const part of due) part.dataset.due = now + seconds(part) * 1000;
    try { if (due.length) await refresh(...due); } catch { /* the node is away: asked again */ }
    wait();
  };
  const seconds = (part) => Number(part.dataset.refresh) || 5;
  const wait = () => {
    const parts = all("[data-refresh]");
    if (parts.length) setTimeout(again, Math.min(...parts.map(seconds)) * 1000);
  };
  for (const part of all("[data-refresh]")) part.dataset.due = Date.now() + seconds(part) * 1000;
  wait();

  // A run's progress, as events of the node.
  for (const part of all("[data-events]")) {
    const events = new EventSource(part.dataset.events);
    let waiting = false;
    events.addEventListener("run", () => {
      if (waiting) return;
      waiting = true;
      setTimeout(async () => { waiting = false; if (!(await refresh(part).catch(() => true))) events.close(); }, 250);
    });
    events.onerror = () => { refresh(part).catch(() => {}); if (part.dataset.refresh === undefined) events.close(); };
  }

  // Keys: / to search, j and k to walk through rows, x to choose, Enter to open, g and a letter to go, ? for help.
  let row = -1, going = false;
  const rows = () => all("table.list tbody tr:not(.group)");
  const walk = (by) => {
    const list = rows();
    if (!list.length) return;
    row = Math.max(0, Math.min(list.length - 1, row + by));
    for (const tr of list) tr.classList.remove("here");
    list[row].classList.add("here");
    const target = list[row].querySelector("td:not(.pick) a") || list[row].querySelector("input");
    if (target) target.focus({ preventScroll: true });
    list[row].scrollIntoView({ block: "nearest" });
  };
  const places = { h: "/", b: "/bulletins", u: "/updates", p: "/policies", c: "/computers", r: "/reports", s: "/hierarchy", t: "/tasks" };
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") {
      for (const p of panels) if (p.open) { p.open = false; p.querySelector("summary").focus(); }
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches('input:not([type="checkbox"]), select, textarea')) return;
    if (going) {
      going = false;
      if (places[e.key] && document.querySelector(`.nav a[href="${places[e.key]}"]`)) location.href = places[e.key];
      return;
    }
    const keyed = document.querySelector(`[data-key="${CSS.escape(e.key)}"]`);
    if (keyed) { e.preventDefault(); if (keyed.matches("input")) keyed.focus(); else keyed.click(); return; }
    if (e.key === "g") going = true;
    else if (e.key === "j") walk(1);
    else if (e.key === "k") walk(-1);
    else if (e.key === "x" && row >= 0) rows()[row]?.querySelector('input[name="key"]')?.click();
    else if (e.key === "?") { const help = document.querySelector("details.help"); if (help) { help.open = !help.open; help.querySelector("summary").focus(); } }
  });

  // Copying a line to paste elsewhere.
  for (const button of all("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.classList.add("done");
    });
  }
})();
