// Runs before the first paint, so that no page flashes in the wrong colors. Not a module: those wait.
document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";
