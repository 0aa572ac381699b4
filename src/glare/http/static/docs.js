"use strict";

// Renders /openapi.json. Every text goes through textContent, so nothing in the document can become markup.

const METHODS = ["get", "head", "post", "put", "patch", "delete"];
const PLACES = ["path", "query", "header"];
const SAMPLES = { id: "$ID", key: "$KEY", type_name: "images", project: "$PROJECT" };

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};
const code = (text) => make("code", {}, text);

/** Text with `code` between backticks and *emphasis* between stars, as DOM nodes. */
function prose(text) {
  const parts = (text ?? "").split(/(`[^`]+`|\*\w+\*)/);
  return parts.map((part) => {
    if (part.startsWith("`") && part.length > 1) return code(part.slice(1, -1));
    if (/^\*\w+\*$/.test(part)) return make("em", {}, part.slice(1, -1));
    return part;
  });
}

class Document {
  constructor(source) {
    this.source = source;
  }

  /** What a reference points to, with its last word as `name`; anything else is returned as it is. */
  resolve(value) {
    if (value?.$ref === undefined) return value;
    const path = value.$ref.slice(2).split("/").map((word) => word.replaceAll("~1", "/").replaceAll("~0", "~"));
    const { $ref, ...beside } = value;
    return { ...path.reduce((inner, word) => inner[word], this.source), ...beside };
  }

  /** A schema with its references and `allOf` laid together, as far as one level goes. */
  flatten(schema) {
    const { allOf = [], ...own } = this.resolve(schema) ?? {};
    return allOf.map((part) => this.flatten(part)).reduce(
      (all, part) => ({
        ...all,
        ...part,
        properties: { ...all.properties, ...part.properties },
        required: [...(all.required ?? []), ...(part.required ?? [])],
      }),
      own,
    );
  }

  operations() {
    return Object.entries(this.source.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => method in item).map((method) => {
        const parameters = [...(item.parameters ?? []), ...(item[method].parameters ?? [])];
        const resolved = parameters.map((parameter) => this.resolve(parameter));
        resolved.sort((one, other) => PLACES.indexOf(one.in) - PLACES.indexOf(other.in));
        return { path, method, ...item[method], parameters: resolved };
      }),
    );
  }
}

function typeName(schema, api) {
  const known = api.flatten(schema);
  const types = [known.type ?? []].flat();
  if (types.includes("array")) return `array of ${typeName(known.items ?? {}, api)}`;
  if (known.enum) return known.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in known) return JSON.stringify(known.const);
  const choices = known.anyOf ?? known.oneOf;
  if (choices) return [...new Set(choices.map((choice) => typeName(choice, api)))].join(" or ");
  if (known.additionalProperties && !known.properties) return `object of ${typeName(known.additionalProperties, api)}`;
  return (types.join(" or ") || "anything") + (known.format ? ` (${known.format})` : "");
}

/** The bounds of a value in a few words, as JSON Schema has them. */
function bounds(schema) {
  const words = {
    default: "default", minimum: "≥", maximum: "≤", minLength: "min. length", maxLength: "max. length",
    maxItems: "max. items", maxProperties: "max. keys", pattern: "pattern",
  };
  const told = Object.entries(words).filter(([key]) => schema[key] !== undefined && schema[key] !== "");
  return told.map(([key, word]) => `${word} ${typeof schema[key] === "string" ? schema[key] : JSON.stringify(schema[key])}`).join(" · ");
}

function table(heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, ...[cell].flat()))));
  return make("div", { class: "table" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

function valueCell(text, schema) {
  const note = bounds(schema);
  return [...prose(text), note ? make("span", { class: "note" }, note) : null].filter((part) => part !== null);
}

function parameterTable(parameters, api) {
  const rows = parameters.map((parameter) => {
    // The words say what patterns of parameters do, and the patterns are long.
    const { pattern, ...schema } = api.flatten(parameter.schema);
    const name = [code(parameter.name), parameter.required ? make("span", { class: "required", title: "required" }, " *") : ""];
    return [name, parameter.in, typeName(schema, api), valueCell(parameter.description, schema)];
  });
  return table(["Name", "In", "Type", "Meaning"], rows);
}

/** A schema as a table of properties; what it contains can be opened. */
function schemaView(schema, api, depth = 0) {
  const known = api.flatten(schema);
  const inner = known.type === "array" ? api.flatten(known.items) : known;
  const choices = inner.oneOf ?? inner.anyOf;
  if (choices && depth < 3) return make("div", {}, ...choices.map((choice) => schemaView(choice, api, depth + 1)));
  const about = inner.description ? make("p", {}, ...prose(inner.description)) : null;
  if (!inner.properties) return make("div", {}, make("p", {}, code(typeName(known, api))), about);
  const required = new Set(inner.required);
  const rows = Object.entries(inner.properties).map(([name, property]) => {
    const flat = api.flatten(property);
    const mark = required.has(name) ? make("span", { class: "required", title: "always there" }, " *") : "";
    const meaning = valueCell(flat.description, flat);
    const nested = nestedObject(flat, api);
    if (nested && depth < 3) meaning.push(lazy("fields", () => schemaView(nested, api, depth + 1)));
    return [[code(name), mark], typeName(property, api), meaning];
  });
  return make("div", {}, about, table(["Field", "Type", "Meaning"], rows));
}

function nestedObject(schema, api) {
  const candidates = [schema, schema.items, schema.additionalProperties, ...(schema.anyOf ?? [])];
  return candidates.map((candidate) => api.flatten(candidate ?? {})).find((candidate) => candidate.properties);
}

/** A part that is built when it is first opened. */
function lazy(title, build, open = false) {
  const details = make("details", { class: "schema" }, make("summary", {}, title));
  details.addEventListener("toggle", () => details.append(build()), { once: true });
  details.open = open;
  return details;
}

function contentViews(content, api, open = false) {
  return Object.entries(content ?? {}).map(([mediaType, media]) =>
    media.schema ? lazy(mediaType, () => schemaView(media.schema, api), open) : make("p", {}, code(mediaType)),
  );
}

function responseTable(operation, api) {
  const rows = Object.entries(operation.responses).map(([status, reference]) => {
    const response = api.resolve(reference);
    const names = Object.keys(response.headers ?? {}).join(", ");
    const headers = names ? make("span", { class: "note" }, names) : "";
    return [code(status), [...prose(response.description), headers, ...contentViews(response.content, api)]];
  });
  return table(["Status", "Answer"], rows);
}

/** A line for a shell; `$TOKEN`, `$ID` and the like are variables to set. */
function curl(operation, api) {
  const filled = operation.path.replace(/{(\w+)}/g, (_, name) => SAMPLES[name] ?? `$${name.toUpperCase()}`);
  const words = [operation.method === "head" ? "curl -I" : "curl"];
  if (!["get", "head"].includes(operation.method)) words.push(`-X ${operation.method.toUpperCase()}`);
  if ((operation.security ?? api.source.security)?.length) words.push('-H "X-Auth-Token: $TOKEN"');
  const [mediaType, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (mediaType) {
    words.push(`-H "Content-Type: ${mediaType}"`);
    words.push(media.schema ? `-d '${sampleBody(mediaType, api.flatten(media.schema))}'` : "-T FILE");
  } else if (operation.operationId.endsWith(".download")) {
    words.push("-o FILE");
  }
  return [...words, `"${location.origin}${filled}"`].join(" ");
}

function sampleBody(mediaType, schema) {
  if (mediaType.includes("json-patch")) return '[{"op": "replace", "path": "/description", "value": "new"}]';
  if (schema.properties?.name) return '{"name": "example"}';
  return '[{"project_id": "demo", "project_quotas": [{"quota_name": "max_artifact_number", "quota_value": 10}]}]';
}

function tryLine(operation, api) {
  const line = curl(operation, api);
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(line);
    button.textContent = "Copied";
  });
  return make("div", { class: "try" }, make("pre", {}, line), navigator.clipboard ? button : null);
}

function operationView(operation, api) {
  const summary = make(
    "summary", {},
    make("code", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
    make("code", { class: "path" }, operation.path),
    make("span", { class: "what" }, ...prose(operation.summary)),
  );
  const details = make("details", { class: "operation", id: operation.operationId }, summary);
  const build = () => {
    if (operation.description) details.append(make("p", {}, ...prose(operation.description)));
    details.append(make("h3", {}, "Try it"), tryLine(operation, api));
    if (operation.parameters.length) details.append(make("h3", {}, "Parameters"), parameterTable(operation.parameters, api));
    if (operation.requestBody) details.append(make("h3", {}, "Body"), ...contentViews(operation.requestBody.content, api, true));
    details.append(make("h3", {}, "Answers"), responseTable(operation, api));
  };
  details.addEventListener("toggle", build, { once: true });
  return details;
}

/** Everything about an operation that a search may look for, in lower case. */
function searchText(operation, api) {
  const bodies = Object.values(operation.requestBody?.content ?? {}).map((media) => api.flatten(media.schema ?? {}).properties);
  const names = [...operation.parameters.map((parameter) => parameter.name), ...bodies.flatMap((fields) => Object.keys(fields ?? {}))];
  return [operation.method, operation.path, operation.summary, operation.operationId, ...names].join(" ").toLowerCase();
}

function groupView(tag, operations, api) {
  const views = operations.map((operation) => ({ view: operationView(operation, api), text: searchText(operation, api) }));
  const heading = make("h2", { id: `group-${tag.name}` }, tag.name);
  const section = make("section", {}, heading, make("p", {}, ...prose(tag.description)), ...views.map(({ view }) => view));
  const count = make("span", {}, String(views.length));
  const link = make("a", { href: `#group-${tag.name}` }, tag.name, count);
  const filter = (words) => {
    for (const { view, text } of views) view.hidden = !words.every((word) => text.includes(word));
    const left = views.filter(({ view }) => !view.hidden).length;
    section.hidden = link.hidden = left === 0;
    count.textContent = String(left);
  };
  return { section, link, filter };
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

async function main() {
  const operationsElement = document.getElementById("operations");
  let api;
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`/openapi.json answers ${response.status}`);
    api = new Document(await response.json());
  } catch (error) {
    operationsElement.replaceChildren(make("p", {}, `The description cannot be loaded: ${error.message}.`));
    return;
  }
  const { title, version, summary, description } = api.source.info;
  document.getElementById("title").textContent = `${title} ${version}`;
  document.getElementById("about").replaceChildren(...prose(`${summary}\n\n${description}`));
  const operations = api.operations();
  const groups = api.source.tags.map((tag) => groupView(tag, operations.filter(({ tags }) => tags.includes(tag.name)), api));
  document.getElementById("groups").replaceChildren(...groups.map(({ link }) => link));
  operationsElement.replaceChildren(...groups.map(({ section }) => section));
  const search = document.getElementById("search");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { filter } of groups) filter(words);
  });
  window.addEventListener("hashchange", openTarget);
  openTarget();
}

main();
