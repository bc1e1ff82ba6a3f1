// The marks of the map.

/** A photo: a circle, or a triangle if it is in no cluster. */
export function pointMark(pen, [x, y], size, colour, alone) {
  pen.fillStyle = colour;
  pen.beginPath();
  if (alone) {
    const reach = size * 1.35;
    pen.moveTo(x, y - reach);
    pen.lineTo(x + reach * 0.95, y + reach * 0.75);
    pen.lineTo(x - reach * 0.95, y + reach * 0.75);
    pen.closePath();
  } else pen.arc(x, y, size, 0, 2 * Math.PI);
  pen.fill();
}

/** The photo of the search: a star. */
export function starMark(pen, [x, y], size, colour, edge) {
  pen.beginPath();
  for (let i = 0; i < 10; i += 1) {
    const angle = (Math.PI / 5) * i - Math.PI / 2;
    const reach = i % 2 ? size * 0.45 : size;
    pen.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
  }
  pen.closePath();
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = edge;
  pen.stroke();
}
