() => {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const visible = (e) => e.checkVisibility({ visibilityProperty: true });
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const texts = [...document.body.querySelectorAll("*")].filter((e) => own(e) && visible(e));
  const weak = texts
    .map((e) => {
      const style = getComputedStyle(e);
      const colour = e.namespaceURI.endsWith("svg") ? style.fill : style.color;
      return [e.textContent, ratio(luminance(parse(colour)), luminance(background(e)))];
    })
    .filter(([, measured]) => measured < 4.5);
  return { texts: texts.length, weak, paper: luminance(background(document.body)) };
}
