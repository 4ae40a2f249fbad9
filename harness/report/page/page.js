// The page works without this: it opens what a link points to, and searches.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const open = () => {
    const target = $(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();

  for (const form of document.querySelectorAll(".filter")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  const findings = [...document.querySelectorAll(".finding")];
  const texts = new Map(findings.map((f) => [f, f.textContent.toLowerCase()]));
  const filter = () => {
    const words = $("find").value.toLowerCase();
    const attention = document.querySelector("[name=which]:checked").value !== "";
    let shown = 0;
    for (const f of findings) {
      f.hidden = (attention && f.dataset.state === "holds") || !texts.get(f).includes(words);
      shown += f.hidden ? 0 : 1;
    }
    for (const phase of document.querySelectorAll(".phase")) phase.hidden = !phase.querySelector(".finding:not([hidden])");
    $("found").textContent = shown === findings.length ? "" : `${shown} of ${findings.length} findings`;
  };
  if ($("find")) {
    $("find").addEventListener("input", filter);
    for (const radio of document.querySelectorAll("[name=which]")) radio.addEventListener("change", filter);
  }

  const logs = [...document.querySelectorAll(".log")].map((log) => ({log, pre: log.querySelector("pre"), text: log.querySelector("pre").textContent}));
  const grep = () => {
    const words = $("grep").value.toLowerCase();
    let found = 0;
    for (const {log, pre, text} of logs) {
      const lines = words ? text.split("\n").filter((line) => line.toLowerCase().includes(words)) : [];
      found += lines.length;
      log.hidden = words !== "" && lines.length === 0;
      log.open = words !== "" && lines.length > 0;
      pre.replaceChildren();
      if (!words) pre.textContent = text;
      for (const line of lines) {
        const at = line.toLowerCase().indexOf(words);
        const mark = document.createElement("mark");
        mark.textContent = line.slice(at, at + words.length);
        pre.append(line.slice(0, at), mark, line.slice(at + words.length) + "\n");
      }
    }
    $("matches").textContent = words ? `${found} lines` : "";
  };
  if ($("grep")) $("grep").addEventListener("input", grep);

  // On paper, what does not hold is told with its evidence.
  addEventListener("beforeprint", () => {
    for (const f of findings) f.open = ["broken", "error", "known"].includes(f.dataset.state);
  });
})();
