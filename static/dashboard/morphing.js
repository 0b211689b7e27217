/* Morphing keeps what the reader has opened, ticked or typed; an element with data-keep and an id stays as it is. */

Idiomorph.defaults.ignoreActiveValue = true;
Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) =>
  !(old.nodeType === Node.ELEMENT_NODE && old.hasAttribute("data-keep") && old.id !== "" && old.id === fresh.id);
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !((name === "open" && node.tagName === "DETAILS") || (name === "checked" && node.tagName === "INPUT"));
