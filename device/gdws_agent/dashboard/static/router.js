// Routes in the fragment of the address, so that the back button and links to a result work.

/** Return the words and the query of an address such as `#/compare?a=1&b=2`; null where it is no page. */
export function parseRoute(hash) {
  if (hash !== "" && !hash.startsWith("#/")) return null;
  const [path, query = ""] = hash.slice(2).split("?");
  const words = path.split("/").filter(Boolean).map(decode);
  return { words, query: new URLSearchParams(query) };
}

/** Return the address of a job's page. */
export function jobLink(jobId) {
  return `#/results/${encodeURIComponent(jobId)}`;
}

function decode(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}
