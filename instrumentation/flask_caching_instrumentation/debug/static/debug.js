// Comfort only: every page works without this script.
"use strict";

// Copying what is shown.

for (const shown of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", shown.dataset.copy);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
    } catch {
      // No clipboard over plain http: select it, so that the keyboard can copy it.
      getSelection().selectAllChildren(shown);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  shown.after(button);
}

// A choice that needs no button.

for (const form of document.querySelectorAll("[data-submit-on-change]")) {
  form.querySelector("button").hidden = true;
  form.addEventListener("change", () => form.submit());
}

// Marking every key of a page.

const marks = document.querySelectorAll("table.with-marks tbody input[type=checkbox]");
if (marks.length > 1) {
  const all = document.createElement("input");
  all.type = "checkbox";
  all.setAttribute("aria-label", "Mark all on this page");
  all.addEventListener("change", () => { for (const mark of marks) mark.checked = all.checked; });
  document.querySelector("table.with-marks th.mark").replaceChildren(all);
}

// Shortcuts: "/" for the first field, "g" and a letter for a page.

const help = document.querySelector(".shortcuts");
const toggle = document.querySelector("[data-shortcuts]");

function remembered() {
  try { return localStorage.getItem("flask-caching-shortcuts"); } catch { return null; }
}

function remember(state) {
  // Without storage it lasts until the next page.
  try { localStorage.setItem("flask-caching-shortcuts", state); } catch { return; }
}

if (help && toggle) {
  help.hidden = false;
  let on = remembered() !== "off";
  let afterG = 0;
  const show = () => {
    toggle.setAttribute("aria-pressed", String(on));
    toggle.textContent = on ? "On" : "Off";
  };
  show();
  toggle.addEventListener("click", () => { on = !on; remember(on ? "on" : "off"); show(); });
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest("input, select, textarea");
    if (!on || event.ctrlKey || event.metaKey || event.altKey || (field && field.type !== "checkbox")) {
      return;
    }
    if (event.key === "/") {
      const first = document.querySelector("[data-first]");
      if (first) {
        event.preventDefault();
        first.focus();
        first.select();
      }
    } else if (event.key === "g") {
      afterG = event.timeStamp;
    } else if (afterG && event.timeStamp - afterG < 1500) {
      afterG = 0;
      const link = document.querySelector(`[data-keys="g ${CSS.escape(event.key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
      }
    }
  });
}

// Following requests. Each worker process counts its own: an answer says whose it is.

const list = document.getElementById("requests");
const following = document.getElementById("following");
const pause = document.getElementById("pause");
const KEPT = 200;
const EVERY = 1500;

if (list && pause) {
  const latest = new Map([[list.dataset.pid, list.dataset.latest]]);
  let asked = list.dataset.pid;
  let paused = false;
  let seen = 0;

  const say = (text) => { if (following.textContent !== text) following.textContent = text; };

  const follow = async () => {
    const source = new URL(list.dataset.source, location.href);
    // Another process may answer than the last time; then it tells all that it knows.
    source.searchParams.set("after", latest.get(asked) || "0");
    source.searchParams.set("pid", asked);
    const answer = await fetch(source, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) {
      throw new Error(`status ${answer.status}`);
    }
    const part = new DOMParser().parseFromString(await answer.text(), "text/html");
    const { pid, latest: number } = part.querySelector("template").dataset;
    asked = pid;
    latest.set(pid, number);
    // The latest first, so each goes before those that are there already.
    const rows = [...part.querySelectorAll("li.request")].filter((row) => !document.getElementById(row.id));
    list.prepend(...rows.map((row) => document.adoptNode(row)));
    for (const old of [...list.children].slice(KEPT)) old.remove();
    seen += rows.length;
    if (rows.length) document.getElementById("none-yet")?.remove();
    say(`Following. ${seen === 1 ? "1 new request" : `${seen} new requests`} since this page was loaded.`);
  };

  const turn = async () => {
    if (!paused && !document.hidden) {
      try {
        await follow();
        following.classList.remove("no-answer");
      } catch {
        following.classList.add("no-answer");
        say("The application does not answer: what is shown is old.");
      }
    }
    setTimeout(turn, EVERY);
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Follow" : "Pause";
    say(paused ? "Paused." : "Following.");
  });
  say("Following. 0 new requests since this page was loaded.");
  setTimeout(turn, EVERY);
}
