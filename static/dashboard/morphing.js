/* Morphing keeps what the reader has opened or ticked, and an element with data-keep and an id stays as it is: whatever
can be typed into has it. All else follows, where the focus is too. (Idiomorph's ignoreActiveValue would leave as it was
what is inside of a button that was pressed, or of a table that is scrolled with the keyboard.) */

Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) =>
  !(old.nodeType === Node.ELEMENT_NODE && old.hasAttribute("data-keep") && old.id !== "" && old.id === fresh.id);
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !((name === "open" && node.tagName === "DETAILS") || (name === "checked" && node.tagName === "INPUT"));
