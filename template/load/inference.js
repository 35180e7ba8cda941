// The same load with k6 (https://grafana.com/docs/k6): uv run gate load --tool k6, or k6 run load/inference.js
// after `gate load` has written var/load/work.json. k6 hears a stream only when it is whole, so its first word
// is the first byte: the event `meta`.
import http from 'k6/http';
import { Counter, Rate, Trend } from 'k6/metrics';

const work = JSON.parse(open(__ENV.LOAD_WORK || '../var/load/work.json'));
const ACCEPT = { whole: 'application/json', stream: 'text/event-stream' };
const SLOW_SHARE = 0.05;

const targets = work.routes.flatMap((route) => Object.keys(ACCEPT).map((way) => target(route, way)));

export const options = {
  scenarios: {
    clients: { executor: 'constant-vus', vus: work.users, duration: `${work.seconds}s`, gracefulStop: '10s' },
  },
  summaryTrendStats: ['med', 'p(95)', 'p(99)'],
  thresholds: Object.fromEntries(targets.flatMap(promises)),
};

// One way to ask a route, and what is counted of it.
function target(route, way) {
  const name = `${route.feature}_${way}`;
  return {
    route, way, name,
    ms: new Trend(`${name}_ms`, true),
    first: new Trend(`${name}_first_ms`, true),
    slow: new Rate(`${name}_slow`),
    errors: new Rate(`${name}_errors`),
    refused: new Counter(`${name}_refused`),
    cached: new Counter(`${name}_cached`),
  };
}

function promises({ name, route }) {
  return [
    [`${name}_slow`, [`rate<=${SLOW_SHARE}`]],
    [`${name}_errors`, [`rate<=${route.error_rate}`]],
  ];
}

export default function () {
  const one = targets[Math.floor(Math.random() * targets.length)];
  const headers = { 'Content-Type': 'application/json', Accept: ACCEPT[one.way] };
  if (__ENV.LOAD_KEY) headers.Authorization = `Bearer ${__ENV.LOAD_KEY}`;
  const url = `${__ENV.LOAD_URL || work.url}/v1/${one.route.feature}`;
  note(one, http.post(url, JSON.stringify(given(one.route)), { headers, tags: { name: one.name } }));
}

// An input, most often with a mark of letters that no other has, so that no cache knows it.
function given(route) {
  const input = route.inputs[Math.floor(Math.random() * route.inputs.length)];
  if (!route.text || Math.random() < work.repeat) return input;
  const letters = Array.from({ length: 10 }, () => String.fromCharCode(97 + Math.floor(Math.random() * 26)));
  return { ...input, [route.text]: `${input[route.text] || ''} (${letters.join('')})` };
}

// 400 to 499 is a refusal, which is no error and says nothing of speed.
function note(one, answer) {
  if (answer.status >= 400 && answer.status < 500) {
    one.refused.add(1);
    return;
  }
  const ms = answer.timings.duration;
  one.ms.add(ms);
  one.slow.add(ms > one.route.slow_ms);
  one.errors.add(answer.status !== 200 || (one.way === 'stream' && !answer.body.includes('event: result')));
  one.cached.add(answer.status === 200 && /"cached":\s*true/.test(answer.body) ? 1 : 0);
  if (one.way === 'stream') one.first.add(answer.timings.waiting);
}

// What `gate load` reads: the same file that the locustfile writes.
export function handleSummary(data) {
  const said = targets.map((one) => `${one.name}: ${JSON.stringify(seen(data, one))}`).join('\n');
  const files = { stdout: `${said}\n` };
  if (__ENV.LOAD_SEEN) files[__ENV.LOAD_SEEN] = JSON.stringify(targets.map((one) => seen(data, one)));
  return files;
}

function seen(data, { route, way, name }) {
  const values = (kind) => (data.metrics[`${name}_${kind}`] || { values: {} }).values;
  const [ms, first, slow, errors] = ['ms', 'first_ms', 'slow', 'errors'].map(values);
  const requests = (slow.passes || 0) + (slow.fails || 0);
  return {
    feature: route.feature,
    way,
    slow_ms: route.slow_ms,
    requests,
    errors: errors.passes || 0,
    slow: slow.passes || 0,
    refused: values('refused').count || 0,
    cached: values('cached').count || 0,
    per_s: requests / (data.state.testRunDurationMs / 1000),
    p50_ms: ms.med || 0,
    p95_ms: ms['p(95)'] || 0,
    p99_ms: ms['p(99)'] || 0,
    first_p50_ms: first.med ?? null,
    first_p95_ms: first['p(95)'] ?? null,
  };
}
