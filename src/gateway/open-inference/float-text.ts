// Writes 32-bit floats as JSON numbers: few digits, yet every one reads back as the same float. Shorter and faster than
// joining the array, which writes the seventeen digits of the double that each float is widened to.

const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;

// A 32-bit float needs nine digits at most; most need eight.
const DIGITS = [7, 8, 9];
// Between these the digits and their scale are exact in a double; outside the engine's own conversion is used.
const SMALLEST = 1e-5;
const LARGEST = 1e9;
const POWERS = Array.from({ length: 16 }, (_, exponent) => 10 ** exponent);
// A sign, a zero, a point, four more zeros, nine digits, a comma; and what the engine writes is never longer than 25.
const MAX_CHARACTERS = 26;

/** The values as text joined by commas. All must be finite. */
export function floatsToText(values: Float32Array): string {
  const text = Buffer.allocUnsafeSlow(values.length * MAX_CHARACTERS);
  let at = 0;
  for (const value of values) {
    at = writeFloat(value, text, at);
    text[at++] = COMMA;
  }
  return text.toString('latin1', 0, Math.max(0, at - 1));
}

function writeFloat(value: number, text: Buffer, start: number): number {
  let at = start;
  if (value === 0) {
    if (Object.is(value, -0)) text[at++] = MINUS;
    text[at++] = ZERO;
    return at;
  }
  const size = Math.abs(value);
  if (size < SMALLEST || size >= LARGEST) return at + text.write(String(value), at, 'latin1');
  if (value < 0) text[at++] = MINUS;
  const exponent = Math.floor(Math.log10(size));
  for (const digits of DIGITS) {
    const scale = digits - 1 - exponent;
    const whole = Math.round(scale >= 0 ? size * POWERS[scale]! : size / POWERS[-scale]!);
    // As a reader does it: decimal to double to float.
    const back = scale >= 0 ? whole / POWERS[scale]! : whole * POWERS[-scale]!;
    if (Math.fround(back) === size) return writeDecimal(whole, scale, text, at);
  }
  return at + text.write(String(size), at, 'latin1');
}

/** Writes `whole / 10 ** scale` without trailing zeros; `whole` has nine digits at most, so 32-bit arithmetic holds it. */
function writeDecimal(whole: number, scale: number, text: Buffer, start: number): number {
  let digits = whole | 0;
  let places = scale;
  while (places > 0 && digits % 10 === 0) {
    digits = (digits / 10) | 0;
    places--;
  }
  if (places <= 0) return start + text.write(String(digits * POWERS[-places]!), start, 'latin1');
  // At least one digit stands before the point.
  let count = places + 1;
  while (digits >= POWERS[count]!) count++;
  const point = start + count - places;
  for (let at = start + count; at >= start; at--) {
    if (at === point) {
      text[at] = POINT;
      continue;
    }
    const next = (digits / 10) | 0;
    text[at] = ZERO + digits - next * 10;
    digits = next;
  }
  return start + count + 1;
}
