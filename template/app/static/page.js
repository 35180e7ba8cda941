// The try-it page: fetch, server-sent events and the DOM; no build step and no library.
"use strict";
const $ = (id) => document.getElementById(id);
const state = { features: [], feature: null, abort: null, language: "en" };
const word = (name) => WORDS[state.language][name] ?? WORDS.en[name] ?? name;

function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function speak(language) {
  state.language = language in WORDS ? language : "en";
  document.documentElement.lang = state.language;
  $("language").value = state.language;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  $("examples").setAttribute("aria-label", word("examples"));
  if (state.feature) showExamples();
}

async function begin() {
  const reply = await fetch("/v1/features");
  const content = await reply.json();
  document.title = content.title;
  $("title").textContent = content.title;
  $("about").textContent = content.description;
  state.features = content.features;
  if (!state.features.length) return fail({ status: 0 }, word("nofeatures"));
  for (const feature of state.features) {
    const choice = element("label", undefined, { class: "choice" });
    const input = element("input", undefined, { type: "radio", name: "feature", value: feature.name });
    input.addEventListener("change", () => choose(feature.name));
    choice.append(input, element("span", feature.name));
    $("features").append(choice);
  }
  choose(location.hash.slice(1) || state.features[0].name);
}

function choose(name) {
  state.feature = state.features.find((feature) => feature.name === name) ?? state.features[0];
  document.querySelector(`input[value="${CSS.escape(state.feature.name)}"]`).checked = true;
  $("fields").replaceChildren(element("p", state.feature.summary, { class: "hint", id: "summary" }));
  for (const [field, spec] of Object.entries(state.feature.input.properties ?? {})) $("fields").append(input(field, spec));
  showExamples();
  drawCurl();
}

function input(name, spec) {
  const box = element("div", undefined, { class: "field" });
  box.append(element("label", spec.title ?? name, { for: `field-${name}` }));
  const long = spec.type === "string";
  const node = element(long ? "textarea" : "input", undefined, { id: `field-${name}`, name, "aria-describedby": "summary" });
  if (!long) node.type = spec.type === "boolean" ? "checkbox" : spec.type === "integer" || spec.type === "number" ? "number" : "text";
  if (spec.maxLength) node.maxLength = spec.maxLength;
  node.addEventListener("input", () => { node.removeAttribute("aria-invalid"); drawCurl(); });
  node.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit(); });
  box.append(node);
  return box;
}

function showExamples() {
  const given = state.feature.examples[state.language] ?? state.feature.examples.en ?? [];
  const buttons = given.map((values) => {
    const [name, text] = Object.entries(values)[0];
    const short = String(text).length > 70 ? `${String(text).slice(0, 67)}…` : String(text);
    const button = element("button", short, { type: "button", class: "quiet" });
    button.addEventListener("click", () => { for (const [key, value] of Object.entries(values)) $(`field-${key}`).value = value; drawCurl(); $(`field-${name}`).focus(); });
    return button;
  });
  $("examples").replaceChildren(...buttons);
}

function values() {
  const given = {};
  for (const [name, spec] of Object.entries(state.feature.input.properties ?? {})) {
    const node = $(`field-${name}`);
    if (spec.type === "boolean") given[name] = node.checked;
    else if (node.value !== "") given[name] = spec.type === "integer" || spec.type === "number" ? Number(node.value) : parsed(node.value, spec);
  }
  return given;
}

function parsed(text, spec) {
  if (spec.type === "string" || spec.type === undefined) return text;
  try { return JSON.parse(text); } catch { return text; }
}

function drawCurl() {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = $("key").value ? ' \\\n  -H "Authorization: Bearer $API_KEY"' : "";
  $("curl").textContent = `curl -N ${location.origin}/v1/${state.feature.name} \\\n  -H 'Content-Type: application/json' -H 'Accept: text/event-stream'${key} \\\n  -d ${quote(JSON.stringify(values()))}`;
}

async function ask(event) {
  event.preventDefault();
  const missing = (state.feature.input.required ?? []).find((name) => { const node = $(`field-${name}`); return node.type !== "checkbox" && !node.value.trim(); });
  if (missing) return complain(missing);
  drawCurl();
  reset();
  state.abort = new AbortController();
  try {
    const reply = await fetch(`/v1/${state.feature.name}`, { method: "POST", headers: headers(), body: JSON.stringify(values()), signal: state.abort.signal });
    if (!reply.ok || !reply.headers.get("content-type").startsWith("text/event-stream")) return fail(await reply.json());
    await follow(reply.body);
  } catch (error) {
    if (error.name === "AbortError") $("status").textContent = word("stopped");
    else fail({ status: 0 }, word("network"));
  } finally {
    busy(false);
  }
}

function headers() {
  const sent = { "Content-Type": "application/json", Accept: "text/event-stream" };
  if ($("key").value) sent.Authorization = `Bearer ${$("key").value.trim()}`;
  return sent;
}

function reset() {
  $("result").hidden = false;
  $("problem").hidden = true;
  $("sources").hidden = true;
  $("keyless").hidden = true;
  $("meta").replaceChildren();
  $("text").replaceChildren();
  $("status").textContent = word("waiting");
  busy(true);
}

function busy(on) {
  $("send").disabled = on;
  $("stop").hidden = !on;
  $("text").setAttribute("aria-busy", String(on));
}

async function follow(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) take(part);
  }
}

function take(part) {
  const line = (name) => part.split("\n").find((each) => each.startsWith(`${name}: `))?.slice(name.length + 2);
  const kind = line("event");
  if (!kind) return;
  const data = JSON.parse(line("data"));
  if (kind === "delta") { $("text").append(data.text); $("status").textContent = word("streaming"); }
  if (kind === "restart") { $("text").replaceChildren(); $("status").textContent = word("restart"); }
  if (kind === "retract") $("text").replaceChildren();
  if (kind === "result") show(data);
  if (kind === "error") { $("text").replaceChildren(); fail(data); }
}

function show({ output, meta }) {
  $("status").textContent = word("done");
  const { citations = [], ...rest } = output;
  const fields = Object.entries(rest).filter(([, value]) => typeof value !== "boolean");
  $("text").replaceChildren(...(fields.length === 1 ? [rendered(fields[0][1])] : [listed(fields)]));
  $("citations").replaceChildren(...citations.map(source));
  $("sources").hidden = !citations.length;
  $("keyless").hidden = meta.model !== "keyless";
  showMeta(meta);
}

function rendered(value) {
  if (!Array.isArray(value)) return document.createTextNode(typeof value === "object" ? JSON.stringify(value, null, 1) : String(value));
  const list = element("ul");
  list.append(...value.map((item) => element("li", typeof item === "object" ? JSON.stringify(item) : String(item))));
  return list;
}

function listed(fields) {
  const list = element("dl");
  for (const [name, value] of fields) {
    const content = element("dd");
    content.append(rendered(value));
    list.append(element("dt", name.replaceAll("_", " ")), content);
  }
  return list;
}

function source(cited) {
  const item = element("li");
  const button = element("button", undefined, { type: "button", class: "quiet" });
  button.append(element("span", `[${cited.marker}] ${cited.title}`), element("small", cited.heading === cited.title ? cited.page : `${cited.heading} · ${cited.page}`));
  button.addEventListener("click", () => open(cited));
  item.append(button);
  return item;
}

async function open(cited) {
  const reply = await fetch(`/v1/pages/${state.feature.name}/${cited.page}`, { headers: headers() });
  const text = reply.ok ? (await reply.json()).text : cited.quote;
  $("page-title").textContent = cited.title;
  $("page-text").replaceChildren(...text.split(/\n\s*\n/).map((block) => paragraph(block.trim(), cited)));
  $("page").showModal();
  $("page-text").querySelector("mark")?.scrollIntoView({ block: "center" });
}

// Markdown as far as pages use it: headings, paragraphs, and lists or tables as they stand.
function paragraph(block, cited) {
  if (block.startsWith("#")) return element(block.startsWith("##") ? "h3" : "h2", block.replace(/^#+\s*/, ""));
  const plain = /^([-*|]|\d+\.)/m.test(block) ? block : block.replaceAll("\n", " ");
  const node = element("p");
  node.append(cited.quote.includes(block) ? element("mark", plain) : plain);
  return node;
}

function showMeta(meta) {
  const time = (ms) => (ms === null ? "–" : `${Math.round(ms)} ms`);
  const rows = {
    cost: meta.cost_usd === null ? word("unknown") : `$${meta.cost_usd.toFixed(6)}`,
    latency: meta.cached ? `${time(meta.latency_ms)}, ${word("cached")}` : time(meta.latency_ms),
    first: time(meta.first_token_ms),
    model: meta.model,
    prompt: meta.prompt,
    tokens: `${meta.input_tokens} + ${meta.output_tokens}`,
    flags: meta.flags.join(", ") || word("none"),
  };
  $("meta").replaceChildren(...Object.entries(rows).map(([name, value]) => {
    const box = element("div");
    box.append(element("dt", word(name)), element("dd", value));
    return box;
  }));
}

function complain(name) {
  const node = $(`field-${name}`);
  node.setAttribute("aria-invalid", "true");
  node.focus();
  $("result").hidden = false;
  fail({ status: 0 }, word("empty"));
}

function fail(problem, said) {
  $("result").hidden = false;
  $("status").textContent = "";
  const known = problem.code === "blocked" ? "p422blocked" : `p${problem.status}`;
  const lines = [said ?? (known in WORDS.en ? word(known) : word("p500")), problem.detail].filter(Boolean);
  $("problem").replaceChildren(...lines.map((line) => element("p", line)));
  $("problem").hidden = false;
  for (const wrong of problem.errors ?? []) $(`field-${wrong.field}`)?.setAttribute("aria-invalid", "true");
  if (problem.status === 401) { $("access").open = true; $("key").focus(); }
}

$("ask").addEventListener("submit", ask);
$("stop").addEventListener("click", () => state.abort?.abort());
$("key").addEventListener("input", drawCurl);
$("language").addEventListener("change", (event) => speak(event.target.value));
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText($("curl").textContent);
  $("copy").textContent = word("copied");
});
speak((navigator.language || "en").slice(0, 2));
begin().catch(() => fail({ status: 0 }, word("network")));
