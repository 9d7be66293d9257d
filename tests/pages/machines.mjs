// What programs read about pages, by the parsers that others use: JSON-LD by jsonld, site maps by sitemap.
//
// Standard input: {"graphs": {name: text}, "maps": {name: xml}}. Standard output: {"graphs": {name: [triple]}, "maps": {name: [{url, lastmod}]}}.
// Whatever does not parse ends the program with words.

import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import jsonld from 'jsonld';
import { XMLToSitemapItemStream, parseSitemapIndex } from 'sitemap';

const asked = JSON.parse(readFileSync(0, 'utf8'));

// schema.org's context, as far as pages use it: every name is a term of that vocabulary. Nothing is fetched.
const CONTEXT = { '@vocab': 'https://schema.org/', id: '@id', type: '@type', url: { '@type': '@id' } };
const documentLoader = async (url) => {
  if (!/^https?:\/\/schema\.org\/?$/.test(url)) throw new Error(`a page asks for ${url}`);
  return { document: { '@context': CONTEXT }, documentUrl: url, contextUrl: null };
};

const graphs = {};
for (const [name, text] of Object.entries(asked.graphs)) {
  const dataset = await jsonld.toRDF(JSON.parse(text), { documentLoader, safe: true });
  graphs[name] = dataset.map(({ predicate, object }) => [predicate.value, object.value]);
}

const maps = {};
for (const [name, xml] of Object.entries(asked.maps)) {
  const level = { level: 'throw' };
  const read = xml.includes('<sitemapindex') ? parseSitemapIndex(Readable.from([xml]), undefined, level) : Readable.from([xml]).pipe(new XMLToSitemapItemStream(level)).toArray();
  maps[name] = (await read).map(({ url, lastmod }) => ({ url, lastmod }));
}
process.stdout.write(JSON.stringify({ graphs, maps }));
