/// The script of pages with images: enlarges them, and lays one over another behind a slider.
///
/// It reads what the page shows anyway and puts only texts into it, so that nothing in a prompt becomes
/// markup. The page works without it.
let viewerScript = #"""
  "use strict";
  (() => {
    const make = (name, style, text) => {
      const made = document.createElement(name);
      if (style) made.className = style;
      if (text) made.textContent = text;
      return made;
    };
    const button = (text, act) => {
      const made = make("button", "", text);
      made.type = "button";
      made.addEventListener("click", act);
      return made;
    };
    const text = (place, selector) => place?.querySelector(selector)?.textContent ?? "";

    const dialog = make("dialog", "viewer");
    const prompt = make("p", "prompt");
    const stage = make("div", "stage");
    const under = make("img");
    const over = make("img", "over");
    const edge = make("div", "edge");
    const corners = [make("span", "corner"), make("span", "corner end")];
    const notes = [make("p", "note"), make("p", "note end")];
    const slider = make("input");
    const choices = make("div", "choices");
    const place = make("span", "place");
    const file = make("a", "", "open the file");
    let sets = [];
    let current = 0;
    let right = 1;

    const items = () => [...sets[current].querySelectorAll(".shot")].map((shot) => {
      const image = shot.querySelector("img");
      const link = shot.matches("a") ? shot : shot.querySelector("a.label");
      return {
        label: image ? text(shot, ".label") : shot.textContent,
        note: text(shot, ".note"),
        source: image ? image.src : shot.href,
        file: link ? link.getAttribute("href") : "",
      };
    });
    const cut = (value) => {
      slider.value = value;
      stage.style.setProperty("--cut", `${value}%`);
      corners[0].hidden = value < 8;
      corners[1].hidden = value > 92;
    };
    const swap = () => cut(slider.value > 50 ? 0 : 100);
    const fit = () => {
      const [width, height] = [over.naturalWidth, over.naturalHeight];
      if (!width || !height) return;
      stage.style.setProperty("--ratio", width / height);
      stage.classList.toggle("pixelated", width <= 128);
    };
    const show = () => {
      const all = items();
      const pair = all.length > 1;
      right = Math.min(Math.max(right, pair ? 1 : 0), all.length - 1);
      const [left, shown] = [all[0], all[right]];
      const caption = sets[current].closest("figure, li")?.querySelector("figcaption, .prompt");
      prompt.textContent = caption?.textContent ?? "";
      over.src = shown.source;
      over.alt = `${shown.label}: ${prompt.textContent}`;
      under.hidden = edge.hidden = slider.hidden = corners[0].hidden = notes[0].hidden = !pair;
      swapping.hidden = !pair;
      if (pair) {
        under.src = left.source;
        under.alt = `${left.label}: ${prompt.textContent}`;
      }
      corners[0].textContent = left.label;
      corners[1].textContent = shown.label;
      notes[0].textContent = left.note;
      notes[1].textContent = shown.note;
      file.hidden = !shown.file;
      if (shown.file) file.href = shown.file;
      choices.replaceChildren(...(all.length > 2 ? all.slice(1) : []).map((item, index) => {
        const choice = button(item.label, () => { right = index + 1; show(); });
        choice.setAttribute("aria-pressed", index + 1 === right);
        return choice;
      }));
      place.textContent = `${current + 1} of ${sets.length}`;
      cut(pair ? 50 : 0);
      fit();
    };
    const move = (by) => {
      current = (current + by + sets.length) % sets.length;
      show();
    };
    const swapping = button("Swap", swap);
    const open = (set, index) => {
      // A folded list is passed over unless it was opened by a click in it.
      const folded = set.closest("details");
      sets = [...document.querySelectorAll(".shots")].filter(
        (other) => other.closest("details") === folded && other.querySelector(".shot"));
      current = sets.indexOf(set);
      right = index;
      show();
      dialog.showModal();
      stage.focus();
    };

    slider.type = "range";
    slider.min = 0;
    slider.max = 100;
    slider.setAttribute("aria-label", "How much of each image shows");
    slider.addEventListener("input", () => cut(slider.value));
    stage.tabIndex = -1;
    stage.append(under, over, edge, ...corners);
    over.addEventListener("load", fit);
    for (const [number, image] of [under, over].entries()) {
      image.draggable = false;
      image.addEventListener("error", () => {
        notes[number].hidden = false;
        notes[number].textContent = "the file of this image is not next to the page";
      });
    }
    const drag = (event) => {
      if (slider.hidden || !event.buttons) return;
      const box = stage.getBoundingClientRect();
      cut(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
    };
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      drag(event);
    });
    stage.addEventListener("pointermove", drag);

    const close = button("Close", () => dialog.close());
    const top = make("div", "bar");
    top.append(prompt, close);
    const captions = make("div", "bar");
    captions.append(...notes);
    const bottom = make("div", "bar");
    bottom.append(
      button("Previous", () => move(-1)), place, button("Next", () => move(1)), swapping, choices,
      file, make("span", "keys", "\u2190 \u2192 other images, space swaps, Esc closes"));
    dialog.setAttribute("aria-label", "Enlarged images");
    dialog.append(top, stage, slider, captions, bottom);
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const onSlider = event.target === slider;
      if (event.key === "ArrowLeft" && !onSlider) move(-1);
      else if (event.key === "ArrowRight" && !onSlider) move(1);
      else if (event.key === " " && !event.target.matches("button, a") && !swapping.hidden) swap();
      else return;
      event.preventDefault();
    });

    for (const shot of document.querySelectorAll(".shots .shot")) {
      const set = shot.closest(".shots");
      const target = shot.querySelector("img") ?? shot;
      const enlarge = (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        open(set, [...set.querySelectorAll(".shot")].indexOf(shot));
      };
      target.addEventListener("click", enlarge);
      if (target === shot) continue;
      target.tabIndex = 0;
      target.setAttribute("role", "button");
      target.title = "Enlarge and compare";
      target.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") enlarge(event);
      });
    }
    const first = document.querySelector(".pictures");
    if (first) {
      first.before(make("p", "note", "Click an image, or press Enter, to enlarge and compare it."));
    }
    document.body.append(dialog);

    // A page that is written again and again is read again, but not under the reader's eyes.
    const seconds = Number(document.body.dataset.refresh);
    if (seconds > 0) {
      setInterval(() => { if (!dialog.open) location.reload(); }, 1000 * seconds);
    }
  })();
  """#

let viewerStyle = """
  .shots [role="button"] { cursor: zoom-in; }
  :focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
  .viewer {
    width: min(96vw, 76rem); max-width: none; max-height: 97vh; border: 0; border-radius: 10px;
    padding: 1rem; background: var(--card); color: var(--ink);
  }
  .viewer::backdrop { background: rgb(0 0 0 / 0.7); }
  .viewer [hidden] { display: none; }
  .viewer p { margin: 0; max-width: none; }
  .viewer .bar {
    display: flex; flex-wrap: wrap; gap: 0.5rem 0.75rem; align-items: center; margin: 0.5rem 0;
  }
  .viewer .bar:first-child { flex-wrap: nowrap; align-items: start; margin-top: 0; }
  .viewer .prompt { flex: 1; max-height: 4.6em; overflow-y: auto; white-space: pre-line; }
  .viewer .note { white-space: pre-line; flex: 1; }
  .viewer .note.end { text-align: right; }
  .viewer .keys { color: var(--soft); font-size: 0.85rem; }
  .viewer button {
    font: inherit; color: inherit; background: var(--page); border: 1px solid var(--rule);
    border-radius: 6px; padding: 0.3rem 0.75rem; cursor: pointer;
  }
  .viewer button[aria-pressed="true"] { border-color: var(--c0); }
  .viewer .choices { display: flex; flex-wrap: wrap; gap: 0.3rem; }
  .viewer input { display: block; width: 100%; margin: 0.6rem 0 0; }
  .stage {
    --cut: 50%; --ratio: 1; position: relative; overflow: hidden; margin: 0 auto;
    width: min(100%, calc(60vh * var(--ratio))); aspect-ratio: var(--ratio); touch-action: pan-y;
    background: var(--page);
  }
  .stage img {
    position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain;
    user-select: none;
  }
  .stage .over { clip-path: inset(0 0 0 var(--cut)); }
  .stage .edge {
    position: absolute; top: 0; bottom: 0; left: var(--cut); width: 2px; margin-left: -1px;
    background: #ffffff; box-shadow: 0 0 3px #000000; cursor: ew-resize;
  }
  .stage .corner {
    position: absolute; top: 0.4rem; left: 0.4rem; padding: 0.1rem 0.5rem; border-radius: 4px;
    background: rgb(0 0 0 / 0.65); color: #ffffff; font-size: 0.85rem;
  }
  .stage .corner.end { left: auto; right: 0.4rem; }
  @media (max-width: 640px) { .viewer .keys { display: none; } .viewer { padding: 0.6rem; } }

  """
