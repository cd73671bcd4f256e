// The Reed-Solomon kernel: AssemblyScript, not TypeScript. `build.ts` compiles it to ../src/kernel.wasm.ts.
//
// It multiplies a matrix of coefficients by k symbols, over GF(2^8). Everything is a pointer into the imported memory,
// so the symbols may lie wherever the host put them. It checks nothing: the host decides every address and length.
//
// A coefficient is given as the address of its nibble tables, 32 bytes: the products with 0x00 to 0x0f, then those with
// 0x00 to 0xf0. All 256 pairs are 8 KiB; together with the strip of every symbol in work they stay in a 32 KiB L1 cache,
// which one table for each place in the matrix would not.

/** Bytes of each symbol worked on in one step: two vectors. */
const STEP: usize = 32;

function lookup(table: v128, nibbles: v128): v128 {
  // An index is never above 15, so both instructions give the same; the relaxed one needs no range check on x86.
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(table, nibbles) : i8x16.swizzle(table, nibbles);
}

function product(tables: usize, low: v128, high: v128): v128 {
  return v128.xor(lookup(v128.load(tables), low), lookup(v128.load(tables, 16), high));
}

/**
 * Four rows at once: out[r] = sum over j of coefficient[r][j] * symbol[j].
 * `coefficients` holds k groups of four table addresses (u32), `outs` the four addresses where the rows go. Symbols start
 * `stride` bytes apart. `bytes` is at least STEP; the last step is moved back to end there, so outputs must not overlap
 * the symbols.
 */
export function rows4(symbols: usize, stride: usize, k: u32, coefficients: usize, outs: usize, bytes: usize): void {
  const mask = i8x16.splat(15);
  const last = coefficients + ((<usize>k) << 4);
  for (let start: usize = 0; start < bytes; start += STEP) {
    const at = min(start, bytes - STEP);
    let a0 = i8x16.splat(0),
      a1 = i8x16.splat(0),
      b0 = i8x16.splat(0),
      b1 = i8x16.splat(0);
    let c0 = i8x16.splat(0),
      c1 = i8x16.splat(0),
      d0 = i8x16.splat(0),
      d1 = i8x16.splat(0);
    let from = symbols + at;
    for (let row = coefficients; row < last; row += 16) {
      const x0 = v128.load(from);
      const x1 = v128.load(from, 16);
      const low0 = v128.and(x0, mask);
      const low1 = v128.and(x1, mask);
      const high0 = v128.and(i16x8.shr_u(x0, 4), mask);
      const high1 = v128.and(i16x8.shr_u(x1, 4), mask);
      const a: usize = load<u32>(row);
      a0 = v128.xor(a0, product(a, low0, high0));
      a1 = v128.xor(a1, product(a, low1, high1));
      const b: usize = load<u32>(row, 4);
      b0 = v128.xor(b0, product(b, low0, high0));
      b1 = v128.xor(b1, product(b, low1, high1));
      const c: usize = load<u32>(row, 8);
      c0 = v128.xor(c0, product(c, low0, high0));
      c1 = v128.xor(c1, product(c, low1, high1));
      const d: usize = load<u32>(row, 12);
      d0 = v128.xor(d0, product(d, low0, high0));
      d1 = v128.xor(d1, product(d, low1, high1));
      from += stride;
    }
    const outA = <usize>load<u32>(outs) + at;
    v128.store(outA, a0);
    v128.store(outA, a1, 16);
    const outB = <usize>load<u32>(outs, 4) + at;
    v128.store(outB, b0);
    v128.store(outB, b1, 16);
    const outC = <usize>load<u32>(outs, 8) + at;
    v128.store(outC, c0);
    v128.store(outC, c1, 16);
    const outD = <usize>load<u32>(outs, 12) + at;
    v128.store(outD, d0);
    v128.store(outD, d1, 16);
  }
}

/** One row, as `rows4`: `coefficients` holds k table addresses. For the rows that four at a time leave over. */
export function rows1(symbols: usize, stride: usize, k: u32, coefficients: usize, out: usize, bytes: usize): void {
  const mask = i8x16.splat(15);
  const last = coefficients + ((<usize>k) << 2);
  for (let start: usize = 0; start < bytes; start += STEP) {
    const at = min(start, bytes - STEP);
    let a0 = i8x16.splat(0),
      a1 = i8x16.splat(0);
    let from = symbols + at;
    for (let row = coefficients; row < last; row += 4) {
      const x0 = v128.load(from);
      const x1 = v128.load(from, 16);
      const a: usize = load<u32>(row);
      a0 = v128.xor(a0, product(a, v128.and(x0, mask), v128.and(i16x8.shr_u(x0, 4), mask)));
      a1 = v128.xor(a1, product(a, v128.and(x1, mask), v128.and(i16x8.shr_u(x1, 4), mask)));
      from += stride;
    }
    v128.store(out + at, a0);
    v128.store(out + at, a1, 16);
  }
}
