// Callipers and zoom over the server's drawing. Distances are kept as whole milliseconds and hundredths of a millivolt,
// so what is shown is what was measured.
"use strict";
(() => {
  const PAGE = { width: 297, height: 210 }; // mm, A4 landscape
  const SVG = "http://www.w3.org/2000/svg";
  const paper = document.getElementById("paper");
  const speed = Number(paper.dataset.speed); // mm/s
  const gain = Number(paper.dataset.gain); // mm/mV
  const byId = (id) => document.getElementById(id);
  let legs = null; // two of {ms, cmv}: places on the sheet in ms and in 0.01 mV, whole numbers
  let active = 1;
  const kept = { rr: null, pr: null, qrs: null, qt: null }; // ms

  const stage = document.createElement("div");
  stage.className = "stage";
  stage.append(paper.querySelector("img"));
  const measure = document.createElementNS(SVG, "svg");
  measure.setAttribute("class", "measure");
  measure.setAttribute("viewBox", `0 0 ${PAGE.width} ${PAGE.height}`);
  measure.setAttribute("aria-hidden", "true");
  stage.append(measure);
  paper.append(stage);
  document.querySelectorAll(".scripted").forEach((one) => { one.hidden = false; });

  const x = (leg) => leg.ms / 1000 * speed;
  const y = (leg) => leg.cmv / 100 * gain;

  function place(event) {
    const box = measure.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width * PAGE.width;
    const down = (event.clientY - box.top) / box.height * PAGE.height;
    return { ms: Math.round(across / speed * 1000), cmv: Math.round(down / gain * 100) };
  }

  function line(x1, y1, x2, y2) {
    const one = document.createElementNS(SVG, "line");
    for (const [name, value] of Object.entries({ x1, y1, x2, y2, stroke: "#0b5394", "stroke-width": 0.3 })) {
      one.setAttribute(name, value);
    }
    measure.append(one);
  }

  function show() {
    measure.replaceChildren();
    const some = legs !== null;
    const ms = some ? Math.abs(legs[1].ms - legs[0].ms) : 0;
    const cmv = some ? legs[0].cmv - legs[1].cmv : 0;
    if (some) {
      for (const leg of legs) line(x(leg), 0, x(leg), PAGE.height);
      for (const leg of legs) line(x(leg) - 8, y(leg), x(leg) + 8, y(leg));
      line(x(legs[0]), y(legs[0]), x(legs[1]), y(legs[0]));
    }
    byId("time").value = some ? `${ms} ms` : "–";
    byId("voltage").value = some ? `${(cmv / 100).toFixed(2)} mV` : "–";
    byId("rate").value = ms > 0 ? `${(60000 / ms).toFixed(0)} /min` : "–";
    for (const [name, interval] of Object.entries(kept)) byId(name).value = interval ? `${interval} ms` : "–";
    const { rr, qt } = kept;
    if (rr) byId("rr").value += `, ${(60000 / rr).toFixed(0)} /min`;
    byId("qtc").value = rr && qt
      ? `${(qt / Math.sqrt(rr / 1000)).toFixed(0)} ms (Bazett), ${(qt / Math.cbrt(rr / 1000)).toFixed(0)} ms (Fridericia)`
      : "–";
  }

  function distance() {
    return legs === null ? null : Math.abs(legs[1].ms - legs[0].ms) || null;
  }

  measure.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    measure.setPointerCapture(event.pointerId);
    legs = [place(event), place(event)];
    active = 1;
    show();
  });
  measure.addEventListener("pointermove", (event) => {
    if (legs !== null && measure.hasPointerCapture(event.pointerId)) {
      legs[1] = place(event);
      show();
    }
  });

  paper.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "Escape") {
      legs = null;
    } else if (event.key === "Enter") {
      active = 1 - active;
    } else if (event.key in moves) {
      if (legs === null) {
        const middle = { ms: Math.round(150 / speed * 1000), cmv: Math.round(105 / gain * 100) };
        legs = [{ ...middle }, { ...middle }];
      }
      legs[active].ms += moves[event.key][0];
      legs[active].cmv += moves[event.key][1];
    } else {
      return;
    }
    event.preventDefault();
    show();
  });

  document.querySelectorAll("[data-keep]").forEach((button) => button.addEventListener("click", () => {
    kept[button.dataset.keep] = distance();
    show();
  }));

  // Zoom, and the scale that it makes.
  const CSS_MM = 96 / 25.4;
  const beside = document.querySelector("figure.paper:not(#paper) img"); // another ECG, drawn alike
  let scale = null; // null: as wide as the page
  function zoom() {
    const factor = scale ?? Math.max(paper.clientWidth / (PAGE.width * CSS_MM), 0.1);
    for (const one of beside ? [stage, beside] : [stage]) {
      one.style.width = `${PAGE.width * factor}mm`;
      one.style.height = `${PAGE.height * factor}mm`;
    }
    paper.classList.toggle("zoomed", scale !== null);
    const shown = (value) => (value * factor).toFixed(1);
    const told = { speed: shown(speed), gain: shown(gain), paper_speed: speed, paper_gain: gain };
    byId("scale").textContent = paper.dataset.scale.replace(/{(\w+)}/g, (_, name) => told[name]);
  }
  document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
    const now = scale ?? paper.clientWidth / (PAGE.width * CSS_MM);
    const wanted = { fit: null, true: 1, in: now * 1.25, out: now / 1.25 };
    scale = wanted[button.dataset.zoom];
    zoom();
  }));
  addEventListener("resize", zoom);
  document.querySelectorAll("form.filter select").forEach((one) => one.addEventListener("change", () => one.form.submit()));
  zoom();
  show();
})();
