// @ts-check
// The status page. Text is set as text, never as markup; what it shows was put into words by the daemon.

/** @typedef {import('../src/overview.ts').Overview} Overview */
/** @typedef {import('../src/overview.ts').Level} Level */

/** Without a word from the daemon for this long, what is shown is old. */
const OLD_MS = 5000;
/** Where there is no stream to be had, the daemon is asked this often. */
const ASK_MS = 3000;

/** No state is told by colour alone. @type {Record<Level, string>} */
const SIGNS = { good: '✓', busy: '▶', warn: '!', bad: '✕', unknown: '?' };

// What could reorder or hide text is shown as what it is.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;
/** @param {string} character */
const escaped = (character) => {
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`;
};
/** @param {unknown} value */
const visible = (value) => String(value).replace(UNPRINTABLE, escaped);

/** @param {string} id */
function at(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no element ${id}`);
  return element;
}

/**
 * An element with text or children in it.
 * @param {string} name
 * @param {string} style
 * @param {...(string | Node)} inside
 */
function make(name, style, ...inside) {
  const element = document.createElement(name);
  if (style !== '') element.className = style;
  element.append(...inside.map((each) => (typeof each === 'string' ? visible(each) : each)));
  return element;
}

/** Sets text only where it changed, so that nothing is read out twice. @param {string} id @param {string} text */
function say(id, text) {
  const element = at(id);
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** @param {HTMLElement} element @param {Level} level */
function mark(element, level) {
  element.dataset.level = level;
  element.dataset.sign = SIGNS[level];
}

/** @param {string} text @param {Level} level */
function marked(text, level) {
  const element = make('span', 'mark', text);
  mark(element, level);
  return element;
}

/** @param {string} id @param {boolean} shown */
function show(id, shown) {
  at(id).hidden = !shown;
}

const UNITS = ['', 'k', 'M', 'G', 'T'];
/** @param {number} value @param {string} unit */
function amount(value, unit) {
  let [rest, step] = [value, 0];
  while (rest >= 1000 && step < UNITS.length - 1) [rest, step] = [rest / 1000, step + 1];
  return `${rest.toFixed(rest < 10 && step > 0 ? 1 : 0)} ${UNITS[step]}${unit}`;
}

/** @param {number} seconds */
function left(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
}

/** @param {number} seconds */
const lasted = (seconds) =>
  seconds < 90
    ? `${Math.floor(seconds)} s`
    : seconds < 7200
      ? `${Math.floor(seconds / 60)} min`
      : `${Math.floor(seconds / 3600)} h`;

/** @param {string} time */
const clock = (time) => time.replace('T', ' ').replace(/\.\d+Z$/, ' UTC');

/**
 * A line over time, the latest at the right.
 * @param {string} id @param {readonly number[]} values @param {string} what
 */
function draw(id, values, what) {
  const width = 300;
  const top = Math.max(1, ...values);
  const from = width - values.length;
  const points = values.map((value, i) => `${from + i + 0.5},${(58 - (value / top) * 54).toFixed(1)}`);
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  if (points.length > 1) line.setAttribute('d', `M${points.join('L')}`);
  at(id).replaceChildren(line);
  at(id).setAttribute('aria-label', what);
}

/** @param {Overview} view */
function showRates({ rates, side }) {
  const { carried, lost, lostShare, unit, stepSeconds } = rates;
  const minutes = Math.max(1, Math.round((carried.length * stepSeconds) / 60));
  const span = minutes === 1 ? 'minute' : `${minutes} minutes`;
  say('rates-now', carried.length === 0 ? 'no figures yet' : amount(carried.at(-1) ?? 0, unit));
  const most = `at most ${amount(Math.max(0, ...carried), unit)} in the last ${span}`;
  say('carried-text', `${side === 'sender' ? 'left this host' : 'authentic datagrams'}; ${most}`);
  draw('carried', carried, `Throughput, ${most}`);
  show('lost-part', side === 'receiver');
  const sum = lost.reduce((total, each) => total + each, 0);
  say('lost-now', lost.length === 0 ? 'no figures yet' : `${amount(lost.at(-1) ?? 0, 'datagrams/s')}`);
  const share = lostShare === undefined ? '' : ` (${(lostShare * 100).toFixed(2)} %)`;
  const told = `${sum} datagrams${share} lost in the last ${span}; repair made up for them unless a bundle is missing`;
  say('lost-text', told);
  draw('lost', lost, `Lost datagrams a second, ${told}`);
}

/** @param {Overview['flight'][number]} flight @param {string} title @param {Overview['side']} side */
function progressOf({ state, doneBytes, totalBytes, etaSeconds }, title, side) {
  if (doneBytes === undefined) return [make('div', 'small', `${state} · ${amount(totalBytes, 'B')}`)];
  const bar = document.createElement('progress');
  bar.max = Math.max(1, totalBytes);
  bar.value = doneBytes;
  const verb = side === 'sender' ? 'sent in this pass' : 'received';
  bar.setAttribute('aria-label', `${title}: ${verb}`);
  const done = `${amount(doneBytes, 'B')} of ${amount(totalBytes, 'B')} ${verb}`;
  const eta = etaSeconds === undefined ? '' : ` · ${left(etaSeconds)}`;
  return [bar, make('div', 'small', `${state} · ${done}${eta}`)];
}

/** @param {Overview} view */
function showFlight({ flight, flightMore, side }) {
  const list = at('flight');
  // A bundle keeps its element, so that a reader keeps their place.
  const known = new Map([...list.children].map((item) => [/** @type {HTMLElement} */ (item).dataset.id, item]));
  const items = flight.map((each) => {
    const item = /** @type {HTMLElement} */ (known.get(each.bundle) ?? make('li', ''));
    item.dataset.id = each.bundle;
    const title = `${each.channel} ${each.sequence}${each.name === '' ? '' : ` · ${each.name}`}`;
    item.replaceChildren(make('div', 'what', title), ...progressOf(each, visible(title), side));
    return item;
  });
  list.replaceChildren(...items);
  show('flight-none', flight.length === 0);
  show('flight-more', flightMore > 0);
  say('flight-more', `and ${flightMore} more`);
}

/** @param {Overview} view */
function showMissing({ missing }) {
  show('missing-part', missing.length > 0);
  const parts = missing.map(({ channel, sequences, names, command, count }) => {
    const noun = count === 1 ? 'bundle' : 'bundles';
    const ask =
      command === ''
        ? make('p', '', 'A later pass may bring what is missing. Tickets are switched off here.')
        : make(
            'p',
            '',
            'A later pass may bring what is missing. To ask for it, make a ticket here: ',
            make('code', '', command),
          );
    const title = make('p', 'what', `Channel ${channel}: ${count} ${noun} not here: ${sequences}`);
    return make('div', '', title, ...names.map((name) => make('p', 'small', name)), ask);
  });
  replaceIfOther(at('missing'), parts);
}

/** Replaces children only where their text is another, so that a selection stays. @param {HTMLElement} parent @param {HTMLElement[]} children */
function replaceIfOther(parent, children) {
  const text = children.map((child) => child.textContent).join('');
  if (parent.dataset.text === text) return;
  parent.dataset.text = text;
  parent.replaceChildren(...children);
}

/** @param {string} id @param {Overview['queue']} facts */
function showFacts(id, facts) {
  const rows = facts.flatMap(({ name, value, level }) => [
    make('dt', '', name),
    make('dd', '', level === undefined ? value : marked(value, level)),
  ]);
  at(id).replaceChildren(...rows);
}

/** @param {Overview} view */
function showMargin({ margin }) {
  show('margin-part', margin !== undefined);
  if (margin === undefined) return;
  say('margin-state', margin.state);
  mark(at('margin-state'), margin.level);
  const rows = margin.buckets.map(({ label, count }) =>
    make('tr', '', make('td', '', label), make('td', '', `${count}`)),
  );
  at('margin')
    .querySelector('tbody')
    ?.replaceChildren(...rows);
}

/** @type {Record<string, Level>} */
const LEVEL_OF = { pass: 'good', warn: 'warn', fail: 'bad' };
/** @type {Record<string, string>} */
const WORDS = { pass: 'well', warn: 'needs attention', fail: 'not well' };

/** @param {Overview} view */
function showHealth({ health }) {
  const checks = Object.entries(health.checks).map(([name, [check]]) => ({ name, ...check }));
  const bad = checks.filter(({ status }) => status !== 'pass');
  const level = LEVEL_OF[health.status] ?? 'unknown';
  say(
    'health-state',
    bad.length === 0
      ? `all ${checks.length} checks pass`
      : `${WORDS[health.status]}: ${bad.length} of ${checks.length} checks`,
  );
  mark(at('health-state'), level);
  say('overall', bad.length === 0 ? 'all is well here' : `${bad.length} of ${checks.length} checks`);
  mark(at('overall'), level);
  const worst = bad.toSorted((a, b) => a.status.localeCompare(b.status));
  replaceIfOther(
    at('health-bad'),
    worst.map(({ name, status, output = '' }) =>
      make('li', '', marked(status, LEVEL_OF[status] ?? 'unknown'), ' ', make('span', 'what', name), ' ', output),
    ),
  );
  const cell = (/** @type {unknown} */ value, /** @type {unknown} */ unit) =>
    make('td', '', value === undefined ? '' : `${value} ${unit ?? ''}`.trim());
  at('health').replaceChildren(
    ...checks.map(({ name, status, observedValue, observedUnit, threshold }) =>
      make(
        'tr',
        '',
        make('td', '', name),
        make('td', '', marked(status, LEVEL_OF[status] ?? 'unknown')),
        cell(observedValue, observedUnit),
        cell(threshold, threshold === undefined ? '' : observedUnit),
      ),
    ),
  );
}

/** @param {Overview} view */
function showRecent({ recent, refusals }) {
  show('recent-none', recent.length === 0);
  replaceIfOther(
    at('recent'),
    recent.map(({ channel, sequence, name, level, state, time }) =>
      make(
        'li',
        '',
        make('span', 'what', `${channel} ${sequence}${name === '' ? '' : ` · ${name}`}`),
        marked(state, level),
        make('span', 'small', clock(time)),
      ),
    ),
  );
  show('refusals-none', refusals.length === 0);
  replaceIfOther(
    at('refusals'),
    refusals.map(({ time, what, code, detail }) =>
      make(
        'li',
        '',
        make('div', '', marked(code, 'bad'), ' ', make('span', 'what', what)),
        make('div', '', detail),
        make('div', 'small', clock(time)),
      ),
    ),
  );
}

/** @param {Overview} view */
function showCanary({ canary }) {
  show('canary', canary !== undefined);
  if (canary === undefined) return;
  mark(at('canary'), canary.level);
  mark(at('canary-age'), canary.level);
  say('canary-age', canary.age);
  say('canary-detail', canary.detail);
}

/** @param {Overview} view */
function showAll(view) {
  const { side, link, channels, far, queue, time, uptimeSeconds } = view;
  showCanary(view);
  say('side', side);
  document.title = `${link.state} · Sluice ${side}`;
  mark(at('link'), link.level);
  mark(at('link-state'), link.level);
  say('link-state', link.state);
  say('link-detail', link.detail);
  at('channels').replaceChildren(
    ...channels.map(({ name, level, state }) => make('li', '', marked(name, level), ' ', state)),
  );
  showMissing(view);
  showFlight(view);
  showRates(view);
  showMargin(view);
  showFacts('queue', queue);
  say('far-state', far.state);
  mark(at('far-state'), far.level);
  showFacts('far', far.facts);
  showHealth(view);
  showRecent(view);
  say('foot', `as of ${clock(time)}; this process has run for ${lasted(uptimeSeconds)}`);
}

let heardAt = 0;

/** @param {string} text */
function hear(text) {
  heardAt = performance.now();
  say('contact', 'live');
  mark(at('contact'), 'good');
  document.body.classList.remove('old');
  showAll(/** @type {Overview} */ (JSON.parse(text)));
}

/** What is shown is old: nothing of it is believed any more. */
function lose() {
  if (performance.now() - heardAt < OLD_MS) return;
  const before = heardAt === 0 ? '' : '; what is shown is old';
  say('contact', `no contact with the daemon${before}`);
  mark(at('contact'), 'bad');
  for (const id of ['link', 'link-state', 'canary', 'canary-age']) mark(at(id), 'unknown');
  say('canary-age', 'not known');
  mark(at('overall'), 'unknown');
  say('overall', 'not known');
  say('link-state', 'Not known');
  say('link-detail', 'The daemon does not answer. The page looks again by itself.');
  document.title = 'No contact · Sluice';
  document.body.classList.add('old');
}

/** @type {EventSource | undefined} */
let source;

function listen() {
  source?.close();
  source = new EventSource('/v1/events');
  source.addEventListener('overview', (event) => hear(String(event.data)));
}

/** There may be no stream left to be had: then the daemon is asked, and a stream is tried again. */
async function ask() {
  if (performance.now() - heardAt < ASK_MS) return;
  try {
    const answer = await fetch('/v1/overview', { signal: AbortSignal.timeout(ASK_MS) });
    if (answer.ok) hear(await answer.text());
  } catch {
    // Said by `lose`.
  }
  if (source?.readyState === EventSource.CLOSED) listen();
}

listen();
setInterval(() => void ask(), ASK_MS);
setInterval(lose, 1000);
