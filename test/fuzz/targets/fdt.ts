// One FDT Instance: what is taken is written again as the same FDT, and keeps every limit of the profile.
import {
  type Fdt,
  FDT_LIMITS,
  type FdtFile,
  digestFromNi,
  encodeFdt,
  niFromDigest,
  parseFdt,
} from '../../../packages/alc/src/index.ts';
import { type FuzzTarget, check, same, utf8 } from '../target.ts';

function run(bytes: Uint8Array): void {
  const parsed = parseFdt(bytes);
  const fewer = parseFdt(bytes, { bytes: FDT_LIMITS.bytes, files: 2 });
  if (!parsed.ok) {
    check(!fewer.ok, 'a lower limit takes what a higher one refuses');
    return;
  }
  const { files } = parsed.value;
  check(fewer.ok ? files.length <= 2 : fewer.error === 'fdt-too-many-files', 'the limit on files');
  check(files.length >= 1 && files.length <= FDT_LIMITS.files, `${files.length} files`);
  check(new Set(files.map(({ toi }) => toi)).size === files.length, 'two files have one TOI');
  for (const { digest } of files) check(digestFromNi(niFromDigest(digest)) === digest, 'the ni URI of a digest');
  const again = parseFdt(encodeFdt(parsed.value));
  check(again.ok, 'what was read and written again is refused');
  same(again.value, parsed.value, 'an FDT read, written and read');
}

const DIGEST = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
const file = (toi: number): FdtFile => ({ toi, digest: DIGEST, length: 1000, contentType: 'application/x-tar' });
const fdt = (files: readonly FdtFile[]): Fdt => ({
  expires: 4029873600,
  maxBlock: 200,
  symbolBytes: 1408,
  maxSymbols: 255,
  files,
});

function* seeds(): Generator<Uint8Array> {
  const one = new TextDecoder().decode(encodeFdt(fdt([file(1)])));
  yield utf8(one);
  yield encodeFdt(fdt([file(1), { ...file(2), contentType: 'application/octet-stream' }, file(3)]));
  const changes: readonly (readonly [string, string])[] = [
    ['"fdt', '"FDT'],
    ['?>\n', '?>'],
    ['FDT-Instance ', 'FDT-Instance\t\r\n '],
    ['="1"', "='1'"],
    ['="1"', '=" 1"'],
    ['application/x-tar', 'application/&quot;&amp;&lt;&gt;&apos;'],
    ['application/x-tar', 'application/&bogus;'],
    ['application/x-tar', 'application/&toolong;'],
    ['Expires="4029873600"', 'Expires="9999999999"'],
    ['Expires="4029873600"', ''],
    ['urn:ietf:params:xml:ns:fdt', 'urn:x'],
    ['Encoding-ID="5"', 'Encoding-ID="6"'],
    ['Length="200"', 'Length="251"'],
    ['Length="1408"', 'Length="1409"'],
    ['Transfer-Length="1000"', 'Transfer-Length="1001"'],
    ['Content-Length="1000" Transfer-Length="1000"', 'Content-Length="1099511627777" Transfer-Length="1099511627777"'],
    ['TOI="1"', 'TOI="1" TOI="1"'],
    ['TOI="1"', 'TOI="0"'],
    ['/>', '></File>'],
    ['</FDT', '<!-- --></FDT'],
    ['</FDT-Instance>\n', '</FDT-Instance>x'],
  ];
  for (const [from, to] of changes) yield utf8(one.replace(from, to));
  const small = one.replace('Length="1408"', 'Length="64"').replace('Length="200"', 'Length="1"');
  yield utf8(small.replaceAll('Length="1000"', 'Length="1099511627776"'));
  yield utf8(new TextDecoder().decode(encodeFdt(fdt([file(7), file(8)]))).replace('TOI="8"', 'TOI="7"'));
}

export const target: FuzzTarget = {
  about: 'an FDT Instance: what is taken is written again as the same FDT, within the limits of the profile',
  files: ['packages/alc/src/fdt-parse.ts', 'packages/alc/src/xml.ts', 'packages/alc/src/ni.ts'],
  bytesMax: 2048,
  words: [
    ...['<?xml version="1.0" encoding="UTF-8"?>', '<FDT-Instance', '</FDT-Instance>', '<File', '/>', 'xmlns'],
    ...['urn:ietf:params:xml:ns:fdt', 'Expires', 'FEC-OTI-FEC-Encoding-ID', 'TOI', 'Content-Location'],
    ...['FEC-OTI-Maximum-Source-Block-Length', 'FEC-OTI-Encoding-Symbol-Length', 'Content-Length', 'Transfer-Length'],
    ...[
      'FEC-OTI-Max-Number-of-Encoding-Symbols',
      'Content-Type',
      'ni:///sha-256;',
      '&quot;',
      '&amp;',
      '&lt;',
      '&apos;',
    ],
    ...['application/x-tar', 'application/octet-stream', 'application/vnd.dsse.envelope.v1+json', '1099511627776'],
  ],
  run,
  seeds,
};
