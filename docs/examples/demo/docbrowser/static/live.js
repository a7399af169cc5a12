// Keeps the overview's numbers current. Without this script they are those of the page load.
"use strict";

const numbers = document.getElementById("numbers");
const note = document.getElementById("live-note");

async function refresh() {
  if (document.hidden) {
    return;
  }
  try {
    const answer = await fetch(numbers.dataset.source, { headers: { Accept: "text/html" } });
    if (!answer.ok) {
      throw new Error(`status ${answer.status}`);
    }
    const text = await answer.text();
    // The table is replaced only when it changed, so that a selection or the focus survives.
    if (text !== refresh.last) {
      numbers.innerHTML = text;
      refresh.last = text;
    }
    note.removeAttribute("data-lost");
  } catch {
    note.dataset.lost = "The demo does not answer: these numbers are old.";
  }
}

setInterval(refresh, 2000);
