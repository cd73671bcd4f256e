import { describe, expect, it } from 'vitest';
import { FDT_LIMITS, type Fdt, digestFromNi, encodeFdt, niFromDigest, parseFdt, splitFdt } from '@sluice/alc';
import { DIGEST, fdtOf, file, mutated, random } from './samples.ts';

const text = (fdt: Fdt): string => new TextDecoder().decode(encodeFdt(fdt));
const bytesOf = (xml: string): Uint8Array => new TextEncoder().encode(xml);

describe('FDT Instance', () => {
  it('has the spelling of PROTOCOL.md O-5', () => {
    expect(text(fdtOf([file(1, 123)]))).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n' +
        '<FDT-Instance xmlns="urn:ietf:params:xml:ns:fdt" Expires="4029873600" FEC-OTI-FEC-Encoding-ID="5"' +
        ' FEC-OTI-Maximum-Source-Block-Length="200" FEC-OTI-Encoding-Symbol-Length="1408"' +
        ' FEC-OTI-Max-Number-of-Encoding-Symbols="255">\n' +
        '<File TOI="1" Content-Location="ni:///sha-256;n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg" Content-Length="123"' +
        ' Transfer-Length="123" Content-Type="application/octet-stream"/>\n' +
        '</FDT-Instance>\n',
    );
  });

  it('comes back from its bytes', () => {
    const fdt = fdtOf([file(1, 1), file(2 ** 32 - 1, 2 ** 40), { ...file(3), contentType: 'application/x-tar' }]);
    expect(parseFdt(encodeFdt(fdt))).toEqual({ ok: true, value: fdt });
  });

  it('is refused beyond the number of files', () => {
    const fdt = fdtOf([file(1), file(2), file(3)]);
    expect(parseFdt(encodeFdt(fdt), { ...FDT_LIMITS, files: 3 }).ok).toBe(true);
    expect(parseFdt(encodeFdt(fdt), { ...FDT_LIMITS, files: 2 })).toEqual({ ok: false, error: 'fdt-too-many-files' });
  });

  it('is never encoded outside the profile', () => {
    expect(() => encodeFdt(fdtOf([]))).toThrow();
    expect(() => encodeFdt(fdtOf(Array.from({ length: 500 }, (_, i) => file(i + 1))))).toThrow(
      /FDT Instance of 500 files/,
    );
    expect(() => encodeFdt(fdtOf([file(0)]))).toThrow();
    expect(() => encodeFdt(fdtOf([file(1, 0)]))).toThrow();
    expect(() => encodeFdt({ ...fdtOf([file(1)]), symbolBytes: 1000 })).toThrow();
    expect(() => encodeFdt({ ...fdtOf([file(1)]), maxBlock: 251 })).toThrow();
    expect(() => encodeFdt({ ...fdtOf([file(1)]), expires: 2 ** 32 })).toThrow();
  });

  it('is parsed or refused, never more, when mutated; what is accepted has one canonical spelling', () => {
    const next = random(6);
    const original = encodeFdt(fdtOf([file(1), file(2)]));
    let accepted = 0;
    for (let round = 0; round < 5000; round++) {
      const parsed = parseFdt(mutated(original, next));
      if (!parsed.ok) continue;
      accepted++;
      expect(parseFdt(encodeFdt(parsed.value))).toEqual(parsed);
    }
    expect(accepted).toBeGreaterThan(50);
  });

  it('is refused at every truncation', () => {
    const original = encodeFdt(fdtOf([file(1)]));
    for (let length = 0; length < original.length - 1; length++) {
      expect(parseFdt(original.subarray(0, length)).ok).toBe(false);
    }
  });

  it.each([
    ['open quote', '<FDT-Instance xmlns="'],
    ['many attributes', `<FDT-Instance ${'a="" '.repeat(9000)}`],
    [
      'distinct attributes',
      `<FDT-Instance ${Array.from({ length: 5000 }, (_, i) => `${'x'.repeat(i % 9)}y="" `).join('')}`,
    ],
    ['ampersands', `<FDT-Instance a="${'&'.repeat(60_000)}"`],
    ['one long name', `<FDT-Instance ${'a'.repeat(60_000)}`],
    ['white space', ' '.repeat(65_000)],
  ])('costs little when it is a bomb: %s', (_, body) => {
    const bytes = bytesOf(`<?xml version="1.0" encoding="UTF-8"?>${body}`).subarray(0, FDT_LIMITS.bytes);
    const start = performance.now();
    for (let round = 0; round < 20; round++) expect(parseFdt(bytes)).toEqual({ ok: false, error: 'fdt-malformed' });
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('splitFdt', () => {
  const parameters = fdtOf([]);

  it('keeps order and both limits, with as few instances as that needs', () => {
    const files = Array.from({ length: 2000 }, (_, i) => file(i + 1, 1 + i * 1_000_003));
    const instances = splitFdt(parameters, files);
    expect(instances.flatMap((instance) => instance.files)).toEqual(files);
    for (const instance of instances) expect(parseFdt(encodeFdt(instance)).ok).toBe(true);
    for (const [i, instance] of instances.slice(0, -1).entries()) {
      const one = instances[i + 1]?.files[0];
      if (one === undefined) throw new Error('an instance is empty');
      expect(() => encodeFdt({ ...instance, files: [...instance.files, one] })).toThrow();
    }
    expect(splitFdt(parameters, files, { ...FDT_LIMITS, files: 30 })[0]?.files.length).toBe(30);
    expect(splitFdt(parameters, [])).toEqual([]);
  });
});

describe('ni URI', () => {
  it('agrees with base64url of the digest, both ways', () => {
    const next = random(7);
    for (let round = 0; round < 200; round++) {
      const bytes = Uint8Array.from({ length: 32 }, () => next());
      const digest = `sha256:${bytes.toHex()}` as const;
      const uri = `ni:///sha-256;${bytes.toBase64({ alphabet: 'base64url', omitPadding: true })}`;
      expect(niFromDigest(digest)).toBe(uri);
      expect(digestFromNi(uri)).toBe(digest);
    }
  });

  it('has one spelling only', () => {
    const uri = niFromDigest(DIGEST);
    const others = [
      '',
      uri.slice(0, -1),
      `${uri}=`,
      `${uri}?ct=text`,
      uri.replace('ni:', 'NI:'),
      uri.replace('_', '/'),
      `${uri}\n`,
    ];
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const parsed = digestFromNi(uri.slice(0, -1) + last);
      if (parsed !== undefined) expect(niFromDigest(parsed)).toBe(uri.slice(0, -1) + last);
    }
    for (const other of others) expect(digestFromNi(other)).toBeUndefined();
  });
});
