// What is live on a page: parts are asked for again when their topic changes; a form is sent once;
// when the program is gone, the page goes blank and stays so. Everything else works without this.
"use strict";
(() => {
  const seen = JSON.parse(document.body.dataset.numbers || "null");
  const GONE = "The connection to the program was lost.";
  let leaving = false;
  let stream = null;
  let timer = null;
  addEventListener("pagehide", () => { leaving = true; if (stream) stream.close(); });

  function blank(sentence) {
    if (leaving) return;
    leaving = true;
    if (stream) stream.close();
    clearInterval(timer);
    const box = document.createElement("main");
    box.className = "blank";
    for (const [tag, text] of [["h1", "This window is closed"], ["p", sentence],
      ["p", "No money has moved by that, and what a card signed is kept."],
      ["p", `For a new window, go to the terminal and type: ${document.body.dataset.open}`]]) {
      const line = document.createElement(tag);
      line.textContent = text;
      box.append(line);
    }
    box.setAttribute("role", "alert");
    document.title = "closed – cardquorum";
    document.body.replaceChildren(box);
  }

  async function ask(path) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", redirect: "error" });
    } catch {
      blank(GONE);
      return null;
    }
    if (answer.status === 403) {
      blank("It was not used for a while.");
      return null;
    }
    return answer;
  }

  function typing(part) {
    const at = document.activeElement;
    return part.contains(at) && at.matches("input:not([type=submit]), textarea, select") && at.value;
  }

  // Answers may come in another order than they were asked for: the last one asked for counts. One
  // that says what is there already takes nothing away from under a finger.
  const turns = new WeakMap();
  const shown = new WeakMap();

  async function renew(part) {
    const turn = (turns.get(part) || 0) + 1;
    turns.set(part, turn);
    const query = new URLSearchParams(part.dataset.at ? "" : location.search);
    query.set("part", part.dataset.part);
    const answer = await ask(`${part.dataset.at || location.pathname}?${query}`);
    if (!answer || !answer.ok) return;
    const text = await answer.text();
    if (turns.get(part) !== turn || shown.get(part) === text) return;
    const box = document.createElement("template");
    box.innerHTML = text;
    const next = box.content.querySelector("[data-state]");
    const moved = box.content.querySelector("[data-go]");
    if (moved) { location.assign(moved.dataset.go); return; }
    const now = part.querySelector("[data-state]");
    if (next && now && next.dataset.state === now.dataset.state && typing(part)) {
      for (const fresh of box.content.querySelectorAll("[data-fresh]")) {
        const old = part.querySelector(`[data-fresh="${fresh.dataset.fresh}"]`);
        if (old) old.replaceWith(fresh);
      }
      shown.delete(part);
      return;
    }
    part.replaceChildren(box.content);
    shown.set(part, text);
    reveal();
    const first = part.querySelector("[autofocus]");
    if (first) first.focus();
  }

  function reveal() {
    for (const button of document.querySelectorAll("[data-copy], [data-print]")) button.hidden = false;
  }

  function changed(numbers) {
    for (const topic of Object.keys(numbers)) {
      if (seen[topic] === numbers[topic]) continue;
      seen[topic] = numbers[topic];
      for (const part of document.querySelectorAll(`[data-live~="${topic}"]`)) renew(part);
    }
  }

  async function poll() {
    const answer = await ask("/pulse");
    if (answer && answer.ok) changed(await answer.json());
  }

  function listen() {
    stream = new EventSource("/events");
    let opened = false;
    stream.onopen = () => { opened = true; };
    stream.onmessage = (event) => {
      const [topic, number] = event.data.split(" ");
      changed({ [topic]: Number(number) });
    };
    stream.addEventListener("end", () => blank("It was closed, or not used for a while."));
    stream.onerror = () => {
      stream.close();
      if (leaving) return;
      if (opened) { blank(GONE); return; }
      timer = setInterval(poll, 2000);
      poll();
    };
  }

  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "yes";
    for (const button of event.target.querySelectorAll("button")) {
      setTimeout(() => { button.disabled = true; }, 0);
    }
  });

  // The second of two quick clicks is meant for what was there at the first, and so is an Enter
  // that is held down: neither presses what the next page shows at that place.
  document.addEventListener("click", (event) => {
    if (event.detail > 1 && event.target.closest("button, a")) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.repeat && event.key === "Enter" && !event.target.matches("textarea")) event.preventDefault();
  });

  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // A form that only asks (what if this place burns?) is answered at once.
  document.addEventListener("change", async (event) => {
    const form = event.target.closest("form[data-at-once]");
    if (!form) return;
    const query = new URLSearchParams(new FormData(form));
    history.replaceState(null, "", `${location.pathname}?${query}`);
    const part = document.getElementById(form.dataset.atOnce);
    if (part) await renew(part);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button || !navigator.clipboard) return;
    const source = document.getElementById(button.dataset.copy);
    navigator.clipboard.writeText(source.textContent.trim())
      .then(() => { button.textContent = "Copied"; });
  });
  reveal();
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) print();
  });

  // A file goes into the form it was dropped on, as text; it is sent when the person says so.
  function taken(zone, chooser) {
    const [file, most] = [chooser.files[0], Number(zone.dataset.most)];
    const put = (name, text) => { zone.querySelector(`input[name=${name}]`).value = text; };
    const ready = (whole, wrong = "") => {
      put("file", whole);
      put("called", whole ? file.name : "");
      zone.classList.toggle("chosen", Boolean(whole));
      chooser.setCustomValidity(wrong);
      if (wrong) chooser.reportValidity();
    };
    if (!file) { ready(""); return; }
    if (file.size > most) { ready("", `It is too large: at most ${most >> 20} MiB are read.`); return; }
    ready("");
    chooser.setCustomValidity("One moment: the file is still being read.");
    const reader = new FileReader();
    reader.onload = () => ready(reader.result.split(",")[1] || "");
    reader.onerror = () => ready("", "It cannot be read. Choose it once more.");
    reader.readAsDataURL(file);
  }
  for (const zone of document.querySelectorAll("[data-drop]")) {
    const chooser = zone.querySelector("input[type=file]");
    chooser.addEventListener("change", () => taken(zone, chooser));
    zone.addEventListener("dragover", (event) => event.preventDefault());
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) {
        chooser.files = event.dataTransfer.files;
        taken(zone, chooser);
      }
    });
  }
  for (const box of document.querySelectorAll("[data-camera]")) {
    if (!navigator.mediaDevices) break;
    box.hidden = false;
    box.querySelector("button").addEventListener("click", () => watch(box));
  }

  // Pictures of the camera go to the program on this computer, which reads the codes in them: the
  // first one is what a line shall hold, a larger field takes all that belong together.
  async function watch(box) {
    const [video, said] = [box.querySelector("video"), box.querySelector("[role=status]")];
    const button = box.querySelector("button");
    const field = document.getElementById(box.dataset.camera);
    const send = (path, body) => fetch(path, { method: "POST", body, credentials: "same-origin" });
    let camera;
    button.disabled = true;
    try {
      camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      said.textContent = "The camera cannot be used: allow it in the browser, or do it without.";
      button.disabled = false;
      return;
    }
    addEventListener("pagehide", () => camera.getTracks().forEach((track) => track.stop()));
    video.srcObject = camera;
    video.hidden = false;
    await video.play();
    const canvas = document.createElement("canvas");
    for (let whole = false; !whole && camera.active && !leaving;) {
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      const frame = await new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.8); });
      const lines = new Set(field.value.split("\n").filter(Boolean));
      const before = lines.size;
      try {
        const read = await (await send("/frame", frame)).json();
        read.texts.forEach((line) => lines.add(line));
        if (field.matches("input")) {
          whole = read.texts.length === 1;
          if (whole) [field.value] = read.texts;
          said.textContent = whole ? "It was read. Look whether it is what you expect."
            : read.said || "Show it one code alone.";
        } else if (lines.size > before) {
          field.value = [...lines].join("\n");
          const told = await (await send("/whole", field.value)).json();
          whole = told.missing === null;
          said.textContent = whole ? "All of it was read." : `${lines.size} read; ${told.missing}`;
        } else if (read.said) {
          said.textContent = read.said;
        }
      } catch {
        blank(GONE);
      }
      await new Promise((done) => { setTimeout(done, 60); });
    }
    camera.getTracks().forEach((track) => track.stop());
    video.hidden = true;
    button.disabled = false;
  }

  if (seen) listen();
})();
