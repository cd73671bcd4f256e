/** The few registry calls a replication makes; on purpose not the product's client. */
export interface Remote {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
}

function headersOf(remote: Remote, more: Record<string, string> = {}): Record<string, string> {
  if (remote.username === undefined) return more;
  const basic = Buffer.from(`${remote.username}:${remote.password ?? ''}`).toString('base64');
  return { ...more, authorization: `Basic ${basic}` };
}

async function expect(response: Response, statuses: readonly number[], what: string): Promise<Response> {
  if (statuses.includes(response.status)) return response;
  throw new Error(`${what}: HTTP ${response.status} ${(await response.text()).slice(0, 200)}`);
}

export async function createProject(target: Remote, project: string): Promise<void> {
  const headers = headersOf(target, { 'content-type': 'application/json' });
  const body = JSON.stringify({ project_name: project, metadata: { public: 'false' } });
  const response = await fetch(`${target.url}/api/v2.0/projects`, { method: 'POST', headers, body });
  await expect(response, [201, 409], 'creating the project');
  await response.arrayBuffer();
}

export async function copyBlob(source: Remote, target: Remote, repository: string, digest: string): Promise<void> {
  const path = `/v2/${repository}/blobs/${digest}`;
  const there = await fetch(`${target.url}${path}`, { method: 'HEAD', headers: headersOf(target) });
  if (there.status === 200) return;
  const bytes = await (
    await expect(await fetch(`${source.url}${path}`, { headers: headersOf(source) }), [200], 'reading')
  ).arrayBuffer();
  const post = await fetch(`${target.url}/v2/${repository}/blobs/uploads/`, {
    method: 'POST',
    headers: headersOf(target),
  });
  await expect(post, [202], 'starting an upload');
  await post.arrayBuffer();
  const location = new URL(post.headers.get('location') ?? '', target.url);
  location.searchParams.set('digest', digest);
  const headers = headersOf(target, { 'content-type': 'application/octet-stream' });
  const put = await expect(await fetch(location, { method: 'PUT', headers, body: bytes }), [201], 'uploading');
  await put.arrayBuffer();
}

export async function readManifest(
  source: Remote,
  repository: string,
  digest: string,
  type: string,
): Promise<ArrayBuffer> {
  const headers = headersOf(source, { accept: type });
  const response = await fetch(`${source.url}/v2/${repository}/manifests/${digest}`, { headers });
  return (await expect(response, [200], 'reading a manifest')).arrayBuffer();
}

export async function putManifest(
  target: Remote,
  repository: string,
  reference: string,
  type: string,
  bytes: ArrayBuffer,
): Promise<void> {
  const headers = headersOf(target, { 'content-type': type });
  const url = `${target.url}/v2/${repository}/manifests/${reference}`;
  const response = await expect(await fetch(url, { method: 'PUT', headers, body: bytes }), [201], 'pushing a manifest');
  await response.arrayBuffer();
}

/** Digest a tag stands for at the target, undefined when there is none. */
export async function isTagged(target: Remote, repository: string, tag: string): Promise<string | undefined> {
  const url = `${target.url}/v2/${repository}/manifests/${tag}`;
  const accept =
    'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json';
  const response = await fetch(url, { method: 'HEAD', headers: headersOf(target, { accept }) });
  return response.status === 200 ? (response.headers.get('docker-content-digest') ?? undefined) : undefined;
}
