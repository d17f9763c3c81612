// Pages that show how things stand ask for themselves again, while somebody can see them and types nothing.
"use strict";
function refresh() {
  const part = document.querySelector("[data-refreshes]");
  if (part && document.visibilityState === "visible" && !part.contains(document.activeElement)) {
    htmx.trigger(part, "refresh");
  }
}
setInterval(refresh, 15000);
document.addEventListener("visibilitychange", refresh);
