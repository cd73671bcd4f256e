/** GF(2^8) over x^8 + x^4 + x^3 + x^2 + 1 (0x11D), as zfec, NORM and OpenFEC use it (docs/PROTOCOL.md F-2). */
const POLYNOMIAL = 0x11d;

/** alpha^i for i from 0 to 509, so that a sum of two logarithms needs no reduction. */
export const EXP = new Uint8Array(510);
/** Logarithm of 1 to 255; LOG[0] has no meaning. */
export const LOG = new Uint8Array(256);

let power = 1;
for (let i = 0; i < 255; i += 1) {
  EXP[i] = power;
  EXP[i + 255] = power;
  LOG[power] = i;
  power <<= 1;
  if (power > 255) power ^= POLYNOMIAL;
}

export const multiply = (a: number, b: number): number =>
  a === 0 || b === 0 ? 0 : (EXP[(LOG[a] ?? 0) + (LOG[b] ?? 0)] ?? 0);

/** 1 / a; a is not 0. */
export const inverse = (a: number): number => EXP[255 - (LOG[a] ?? 0)] ?? 0;

/** Inverts an n x n matrix in place by Gauss-Jordan elimination; false when it is singular. */
export function invert(matrix: Uint8Array, n: number): boolean {
  const at = (row: number, column: number): number => matrix[row * n + column] ?? 0;
  const result = new Uint8Array(n * n);
  for (let i = 0; i < n; i += 1) result[i * n + i] = 1;
  for (let column = 0; column < n; column += 1) {
    let pivot = column;
    while (pivot < n && at(pivot, column) === 0) pivot += 1;
    if (pivot === n) return false;
    if (pivot !== column) {
      swapRows(matrix, n, pivot, column);
      swapRows(result, n, pivot, column);
    }
    const scale = inverse(at(column, column));
    scaleRow(matrix, n, column, scale);
    scaleRow(result, n, column, scale);
    for (let row = 0; row < n; row += 1) {
      const factor = at(row, column);
      if (row === column || factor === 0) continue;
      addRow(matrix, n, row, column, factor);
      addRow(result, n, row, column, factor);
    }
  }
  matrix.set(result);
  return true;
}

function swapRows(matrix: Uint8Array, n: number, a: number, b: number): void {
  const row = matrix.slice(a * n, (a + 1) * n);
  matrix.copyWithin(a * n, b * n, (b + 1) * n);
  matrix.set(row, b * n);
}

function scaleRow(matrix: Uint8Array, n: number, row: number, factor: number): void {
  for (let i = row * n; i < (row + 1) * n; i += 1) matrix[i] = multiply(matrix[i] ?? 0, factor);
}

/** matrix[to] += factor * matrix[from] */
function addRow(matrix: Uint8Array, n: number, to: number, from: number, factor: number): void {
  for (let i = 0; i < n; i += 1) {
    const index = to * n + i;
    matrix[index] = (matrix[index] ?? 0) ^ multiply(matrix[from * n + i] ?? 0, factor);
  }
}
