// Links the parts of a scene graph: what is pointed at, focused or chosen is lit up everywhere in its view.
// The listeners are those of the document, so that views can be replaced at any time.
(() => {
  "use strict";
  const part = (target) => (target instanceof Element ? target.closest(".sg-view [data-lit]") : null);

  const light = (view, lit) => {
    const keys = new Set(lit ? lit.split(" ") : []);
    view.classList.toggle("active", keys.size > 0);
    for (const element of view.querySelectorAll("[data-key]"))
      element.classList.toggle("lit", keys.has(element.dataset.key));
  };
  const pin = (view, chosen) => {
    view.dataset.pinned = chosen ? chosen.dataset.lit : "";
    for (const button of view.querySelectorAll("[aria-pressed]"))
      button.setAttribute("aria-pressed", String(button === chosen));
    light(view, view.dataset.pinned);
  };
  const enter = (event) => {
    const found = part(event.target);
    if (found) light(found.closest(".sg-view"), found.dataset.lit);
  };
  const leave = (event) => {
    const found = part(event.target);
    if (found) light(found.closest(".sg-view"), found.closest(".sg-view").dataset.pinned);
  };
  document.addEventListener("mouseover", enter);
  document.addEventListener("focusin", enter);
  document.addEventListener("mouseout", leave);
  document.addEventListener("focusout", leave);

  // Sets a text field of the page as if it had been typed.
  const type = (id, change) => {
    const field = document.querySelector(`#${id} textarea, #${id} input`);
    if (!field) return;
    field.value = change(field.value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };

  const choose = (target) => {
    const found = part(target);
    if (!found || document.body.classList.contains("sg-drawing")) return;
    const view = found.closest(".sg-view");
    pin(view, view.dataset.pinned === found.dataset.lit ? null : found);
  };
  document.addEventListener("click", (event) => choose(event.target));

  // One element of a group takes part in the order of the tab key; the arrow keys go to the others.
  document.addEventListener("keydown", (event) => {
    const group = event.target instanceof Element ? event.target.closest("[data-roving]") : null;
    if (!group) return;
    const view = group.closest(".sg-view");
    if (event.key === "Escape" && view) return pin(view, null);
    if ((event.key === "Enter" || event.key === " ") && event.target.localName === "g") {
      event.preventDefault();
      return choose(event.target);
    }
    const items = [...group.querySelectorAll("[tabindex]")];
    const here = items.indexOf(event.target.closest("[tabindex]"));
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -here, End: items.length - 1 - here };
    const next = items[here + steps[event.key]];
    if (!next) return;
    event.preventDefault();
    for (const item of items) item.setAttribute("tabindex", item === next ? "0" : "-1");
    next.focus();
  });

  // While boxes are drawn, dragging over a photo adds a line "x1, y1, x2, y2" in pixels of the image.
  let start = null;
  const position = (svg, event) => {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const { width, height } = svg.viewBox.baseVal;
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)].map(Math.round);
  };
  const corners = ([x, y]) => [Math.min(x, start.x), Math.min(y, start.y), Math.max(x, start.x), Math.max(y, start.y)];
  document.addEventListener("pointerdown", (event) => {
    const svg = event.target instanceof Element ? event.target.closest(".sg-drawing .sg-photo") : null;
    if (!svg) return;
    event.preventDefault();
    const [x, y] = position(svg, event);
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.classList.add("sg-drawn");
    svg.append(rect);
    start = { svg, rect, x, y };
  });
  document.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [x1, y1, x2, y2] = corners(position(start.svg, event));
    for (const [name, value] of Object.entries({ x: x1, y: y1, width: x2 - x1, height: y2 - y1 }))
      start.rect.setAttribute(name, value);
  });
  document.addEventListener("pointerup", (event) => {
    if (!start) return;
    const [x1, y1, x2, y2] = corners(position(start.svg, event));
    if (x2 - x1 > 2 && y2 - y1 > 2) type("sg-boxes", (text) => `${text.trim()}\n${[x1, y1, x2, y2].join(", ")}`.trim());
    else start.rect.remove();
    start = null;
  });
})();
