/** The field GF(2^8) over x^8 + x^4 + x^3 + x^2 + 1 (docs/PROTOCOL.md F-2). Addition is exclusive or. */
const POLYNOMIAL = 0x11d;
/** Order of the multiplicative group: alpha^255 = 1. */
export const ORDER = 255;

/** alpha^i for i from 0 to 254. */
export const EXP = new Uint8Array(ORDER);
/** The i with alpha^i = x. LOG[0] is 0, so that a sum over a product's factors passes over a factor of zero. */
export const LOG = new Uint8Array(256);

let power = 1;
for (let i = 0; i < ORDER; i += 1) {
  EXP[i] = power;
  LOG[power] = i;
  power <<= 1;
  if (power > 255) power ^= POLYNOMIAL;
}

/** alpha to any whole power, which may be negative. */
export function exp(exponent: number): number {
  const i = exponent % ORDER;
  return EXP[i < 0 ? i + ORDER : i] ?? 0;
}

/** The logarithm of x, which must not be zero for it to mean one. */
export const log = (x: number): number => LOG[x] ?? 0;

export const multiply = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : exp(log(a) + log(b)));
