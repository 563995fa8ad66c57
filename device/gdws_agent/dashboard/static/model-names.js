// The names of the stored bundles, by their ids.

/** Return a function from a bundle's id to its name, or null for one that is no longer stored. */
export async function modelNames(page) {
  const names = new Map();
  let cursor = null;
  do {
    const query = cursor === null ? "" : `&cursor=${cursor}`;
    const list = await page.agent.get(`models?limit=1000${query}`, { signal: page.signal });
    for (const model of list.models) names.set(model.id, model.name);
    cursor = list.next_cursor;
  } while (cursor !== null);
  return (id) => names.get(id) ?? null;
}
