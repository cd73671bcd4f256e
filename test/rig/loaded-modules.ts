// Preloaded with --import into a `sluice link`: writes the URL of every module that the process loads, Node's own
// included, into the file that SLUICE_LOADED_MODULES names, a line each. Other commands it leaves alone.
// It imports nothing itself: what it had loaded would not show again.
const file = process.env.SLUICE_LOADED_MODULES;

if (file !== undefined && process.argv[2] === 'link') {
  const getBuiltinModule = process.getBuiltinModule.bind(process);
  const { openSync, writeSync } = getBuiltinModule('node:fs');
  const out = openSync(file, 'a');
  const note = (url: string): void => {
    writeSync(out, `${url}\n`);
  };
  getBuiltinModule('node:module').registerHooks({
    load(url, context, nextLoad) {
      note(url);
      return nextLoad(url, context);
    },
  });
  // The one way past the hooks.
  process.getBuiltinModule = (id: string) => {
    note(id.startsWith('node:') ? id : `node:${id}`);
    return getBuiltinModule(id);
  };
}
