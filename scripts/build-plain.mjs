// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Builds the native addons without Python, which node-gyp needs and a bare
 * machine may lack: reads binding.gyp (a Python literal that is a JavaScript
 * one too, comments aside), and calls the compilers itself. Release only;
 * compiles what is older than its sources or any header.
 */
import { execFile, execSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** binding.gyp as an object. */
function readGyp(file) {
  const text = readFileSync(file, 'utf8').replace(/^\s*#.*$/gm, '');
  return new Function(`return (${text});`)();
}

/** `<!(command)` and `<!@(command)` are replaced by what the command prints. */
function expand(values, root) {
  return (values ?? []).flatMap((value) => {
    const whole = /^<!@\((.*)\)$/s.exec(value);
    if (whole) return execSync(whole[1], { cwd: root, encoding: 'utf8' }).trim().split('\n');
    return value.replace(/<!\((.*)\)/s, (_, command) =>
      execSync(command, { cwd: root, encoding: 'utf8' }).trim(),
    );
  });
}

/** Node's headers: beside the running node, or where node-gyp keeps what it fetches. */
function nodeHeaders(gyp) {
  const beside = join(dirname(dirname(realpathSync(process.execPath))), 'include', 'node');
  if (existsSync(join(beside, 'node_api.h'))) return beside;
  execSync(`"${process.execPath}" "${gyp}" install --ensure`, { stdio: 'inherit' });
  return join(homedir(), '.cache', 'node-gyp', process.versions.node, 'include', 'node');
}

/** Newest change among all headers: one number is enough for a tree of this size. */
function newestHeader(root) {
  const walk = (dir) =>
    readdirSync(dir, { withFileTypes: true, recursive: true })
      .filter((e) => e.isFile() && e.name.endsWith('.h'))
      .map((e) => statSync(join(e.parentPath ?? e.path, e.name)).mtimeMs);
  return Math.max(
    ...['kernel', 'native'].flatMap((d) => walk(join(root, d))),
    statSync(join(root, 'binding.gyp')).mtimeMs,
  );
}

const older = (file, than) => !existsSync(file) || statSync(file).mtimeMs < than;

/** Run at most one job per processor. */
async function inParallel(jobs) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await job();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

/** Build both addons into build/Release. Rejects with the compiler's words. */
export async function buildPlain(root) {
  const require = createRequire(join(root, 'package.json'));
  const all = readGyp(join(root, 'binding.gyp'));
  const base = all.target_defaults;
  const includes = [
    nodeHeaders(require.resolve('node-gyp/bin/node-gyp.js')),
    dirname(require.resolve('node-addon-api/napi.h')),
  ];
  const newest = newestHeader(root);
  for (const target of all.targets) {
    const flags = [
      ...base.cflags,
      ...base.configurations.Release.cflags,
      ...(target.cflags ?? []).map((f) => f.replace('<(module_root_dir)', root)),
      '-fPIC',
      '-pthread',
      '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
      ...expand([...base.defines, ...(target.defines ?? [])], root).map((d) => `-D${d}`),
      ...[...(target.include_dirs ?? []).map((d) => join(root, d)), ...includes].map((d) => `-I${d}`),
      `-DNODE_GYP_MODULE_NAME=${target.target_name}`,
    ];
    const objects = [];
    const jobs = [];
    for (const source of expand(target.sources, root)) {
      const c = source.endsWith('.c');
      const object = join(root, 'build', 'plain', target.target_name, `${source}.o`);
      objects.push(object);
      if (!older(object, Math.max(newest, statSync(join(root, source)).mtimeMs))) continue;
      mkdirSync(dirname(object), { recursive: true });
      const compiler = c ? (process.env['CC'] ?? 'cc') : (process.env['CXX'] ?? 'c++');
      const own = c ? base.cflags_c : [...base.cflags_cc, '-fno-exceptions', '-fno-rtti'];
      jobs.push(() => run(compiler, [...flags, ...own, '-c', '-o', object, join(root, source)]));
    }
    await inParallel(jobs);
    mkdirSync(join(root, 'build', 'Release'), { recursive: true });
    const file = join(root, 'build', 'Release', `${target.target_name}.node`);
    await run(process.env['CXX'] ?? 'c++', ['-shared', '-o', file, ...objects, ...base.ldflags]);
  }
}
