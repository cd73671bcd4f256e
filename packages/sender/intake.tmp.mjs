import { hash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync, readFileSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { encodeRelease, parseEnvelope, parseRelease } from '@sluice/bundle';
import { collect, readRelease, scanDirectory } from '@sluice/sources';
import { openStaging } from '@sluice/store';
import { makeKeyPair, loadSigner, signEnvelope } from '@sluice/trust';
const N=Number(process.argv[2]??20000), dir='/var/tmp/files/in'+N;
if(!existsSync(dir)){ mkdirSync(dir); const artifacts=[]; for(let i=0;i<N;i++){ const d=`${dir}/${String(i>>10).padStart(4,'0')}`; if((i&1023)===0) mkdirSync(d); const b=randomBytes(4096); const p=`${String(i>>10).padStart(4,'0')}/file-${i}`; writeFileSync(`${dir}/${p}`,b); artifacts.push({name:p,type:'file',digest:'sha256:'+hash('sha256',b,'hex'),size:4096,total:4096,target:{path:p}});} 
 writeFileSync(`${dir}/release.dsse.json`, signEnvelope(encodeRelease({name:'x',artifacts,approvedBy:['a']}),[loadSigner(makeKeyPair('Ed25519').privatePem)])); }
rmSync('/var/tmp/files/stg',{recursive:true,force:true});
const staging=openStaging('/var/tmp/files/stg','intake');
let t=performance.now(); const t0=t; const lap=(n)=>{const x=performance.now(); console.log(n,(x-t).toFixed(0)); t=x;};
const scan=await scanDirectory(dir,{entries:200000,depth:32,bytes:2**40}); lap('scan'); if(!scan.ok) throw new Error(JSON.stringify(scan));
const env=await readRelease(scan.value,2**27); lap('readRelease');
const r=parseRelease(parseEnvelope(env.value).value.payload); lap('parse'); if(!r.ok) throw new Error(JSON.stringify(r));
const c=await collect(scan.value,r.value.artifacts,staging,{bundleBytes:2**40,canMove:true}); lap('collect'); if(!c.ok) throw new Error(JSON.stringify(c));
await staging.add(env.value); await staging.commit(); lap('commit');
console.log('total',(performance.now()-t0).toFixed(0), c.value.objects.length);
